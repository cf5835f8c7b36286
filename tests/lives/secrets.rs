//! The search for secrets in everything that the provider returns and logs.

use std::sync::LazyLock;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use kms_emulator::{CLIENT_SECRET, STATIC_TOKEN};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Checked, Violation, model::TOKENS};

/// A secret in one of its encodings.
struct Form {
    secret: &'static str,
    form: &'static str,
    text: String,
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let mut forms = Vec::new();
    for secret in TOKENS.into_iter().chain([CLIENT_SECRET, STATIC_TOKEN]) {
        for (form, text) in forms_of(secret) {
            forms.push(Form { secret, form, text });
        }
    }
    forms
});

/// A secret in plain, JSON-escaped, percent-encoded, and in base64 at each offset in a longer text.
pub fn forms_of(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![("plain", secret.to_owned())];
    let json = serde_json::Value::from(secret).to_string();
    forms.push(("JSON", json[1..json.len() - 1].to_owned()));
    forms.push(("percent-encoded", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()));
    for shift in 0..3 {
        let bytes = [&b"\0\0"[..shift], secret.as_bytes()].concat();
        // Digits that depend on the surrounding text are left out.
        let inner = |encoded: &str| encoded[(shift * 4).div_ceil(3)..encoded.len() - 2].to_owned();
        forms.push(("Base64", inner(&STANDARD_NO_PAD.encode(&bytes))));
        forms.push(("Base64 for URLs", inner(&URL_SAFE_NO_PAD.encode(&bytes))));
    }
    forms.dedup_by(|one, other| one.1 == other.1);
    forms
}

/// Fails if a text contains a secret.
pub fn look(text: &str, place: &str) -> Checked {
    for Form { secret, form, text: hidden } in FORMS.iter() {
        if text.contains(hidden.as_str()) {
            let around = excerpt(text, hidden);
            return Err(Violation::new("leak", format!("{secret:?} shows, {form}, in {place}: {around}")));
        }
    }
    Ok(())
}

/// Fails if a text contains one of these access tokens.
pub fn look_for_access_tokens(text: &str, tokens: &[String], place: &str) -> Checked {
    match tokens.iter().find(|token| text.contains(token.as_str())) {
        Some(token) => {
            Err(Violation::new("leak", format!("an access token shows in {place}: {}", excerpt(text, token))))
        }
        None => Ok(()),
    }
}

fn excerpt(text: &str, hidden: &str) -> String {
    let line = text.lines().find(|line| line.contains(hidden)).unwrap_or(text);
    line.chars().take(400).collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = TOKENS[1];
    for prefix in ["", "x", "xy", "xyz"] {
        let text = format!("{prefix}{secret}!!");
        let encoded = [
            text.clone(),
            serde_json::Value::from(text.as_str()).to_string(),
            utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string(),
            STANDARD_NO_PAD.encode(&text),
            URL_SAFE_NO_PAD.encode(&text),
        ];
        for text in encoded {
            assert!(look(&text, "here").is_err(), "{text}");
        }
    }
    assert!(look("nothing to see", "here").is_ok());
}
