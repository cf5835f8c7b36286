//! A client that sends exactly what a test asks for.

use kms_emulator::{CONNECTIONS, Emulator, PROJECT_ID, STATIC_TOKEN};
use serde_json::{Value, json};

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// Null when the text is no JSON.
    pub body: Value,
}

impl Answer {
    /// Status, `error` and `message` of a refusal.
    pub fn refusal(&self) -> (u16, &str, &str) {
        let text = |field: &str| self.body[field].as_str().unwrap_or_default();
        (self.status, text("error"), text("message"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The fields of each issue of a 422 that say what is wrong, as `path: message`.
    pub fn issues(&self) -> Vec<String> {
        assert_eq!((self.status, &self.body["error"]), (422, &json!("ValidationFailure")), "{}", self.text);
        let show = |issue: &Value| {
            let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
            let path: Vec<_> = issue["path"].as_array().unwrap().iter().map(part).collect();
            format!("{}: {}", path.join("."), issue["message"].as_str().unwrap())
        };
        self.body["message"].as_array().unwrap().iter().map(show).collect()
    }

    /// The names in a list of connections, or of rotations.
    pub fn names(&self) -> Vec<&str> {
        assert_eq!(self.status, 200, "{}", self.text);
        let list = self.body.get("appConnections").or(self.body.get("secretRotations"));
        let list = list.and_then(Value::as_array).unwrap();
        list.iter().map(|entry| entry["name"].as_str().unwrap()).collect()
    }
}

pub struct Client<'e> {
    pub emulator: &'e Emulator,
    pub http: reqwest::Client,
    pub token: Option<String>,
}

impl<'e> Client<'e> {
    pub fn new(emulator: &'e Emulator) -> Self {
        Self { emulator, http: reqwest::Client::new(), token: Some(STATIC_TOKEN.into()) }
    }

    pub fn without_token(emulator: &'e Emulator) -> Self {
        Self { token: None, ..Self::new(emulator) }
    }

    /// The same client with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { emulator: self.emulator, http: self.http.clone(), token: Some(token.into()) }
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, reqwest::Error> {
        let url = format!("{}{path}", self.emulator.url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, text, body })
    }

    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let content_type = body.map(|_| "application/json");
        self.send(method, path, content_type, body.map(|body| body.to_string().into_bytes())).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn create(&self, body: &Value) -> Answer {
        self.call("POST", CONNECTIONS, Some(body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body)).await
    }
}

/// A body of a rotation that keeps all rules.
pub fn valid_rotation(connection_id: &str) -> Value {
    json!({
        "name": "orders-token",
        "projectId": PROJECT_ID,
        "connectionId": connection_id,
        "environment": "prod",
        "secretPath": "/",
        "rotationInterval": 30,
        "parameters": {
            "tokenName": "orders",
            "permissionGrants": [{"permissionSet": "job_admin", "projectId": 70_471}],
        },
        "secretsMapping": {"serviceToken": "DBT_TOKEN"},
    })
}

/// A body that keeps all rules.
pub fn valid() -> Value {
    json!({
        "name": "orders",
        "method": "api-token",
        "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "1", "apiToken": "dbtu_x"},
    })
}

/// The valid body, changed.
pub fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = valid();
    change(&mut body);
    body
}
