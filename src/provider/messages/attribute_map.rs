//! Which attribute a failure belongs to.

/// For the token of a connection that is written.
pub const WRITTEN_CREDENTIALS: &str = "Check that \"api_token\" is not expired or revoked, and that it is a token \
                                       for this \"account_id\" on this \"instance_url\".";
/// For the stored token of a connection that is only used.
pub const STORED_CREDENTIALS: &str =
    "The token that the connection stores may be expired or revoked: give the connection another one.";
/// For the settings of a connection that another object uses.
pub const OF_THE_CONNECTION: &str = " of the connection";
/// For the stored token of a connection with which a rotation is written.
pub const ROTATING_CREDENTIALS: &str = "The token that the connection stores must not be expired or revoked, and must be allowed to manage service tokens of the \
     dbt account. To destroy a rotation without revoking its tokens, apply revoke_tokens_on_destroy = false first.";
/// For the stored token of the connection of a rotation that is only used.
pub const CREDENTIALS_OF_ROTATION: &str = "The token that the rotation's connection stores must not be expired or revoked, and must be allowed to manage service \
     tokens of the dbt account.";
/// For a create that can leave tokens at dbt.
pub const LOOK_FOR_TOKENS_FIRST: &str =
    "check dbt for service tokens that are left over, because each further create can leave more of them";
/// For a secret that is missing. A destroy reads it as well, unless it doesn't refresh.
pub const DESTROY_WITHOUT_SECRET: &str =
    "To destroy what uses the secret without it, run `terraform destroy -refresh=false`.";
/// For an action that must not be repeated blindly.
pub const LOOK_BEFORE_ROTATING_AGAIN: &str = "look at the rotation's last_rotated_at before you invoke the action again, because each rotation revokes a token";

/// Maps the fields and the errors of the server to the attributes of a type. What is not listed belongs to the block as a whole.
#[derive(Clone, Copy, Debug)]
pub struct AttributeMap {
    /// The attribute of a project that is unknown.
    pub project: Option<&'static str>,
    /// The attribute of a name that is taken.
    pub name: Option<&'static str>,
    /// The attribute of credentials that are refused.
    pub credentials: Option<&'static str>,
    /// What to do about credentials that are refused, as sentences.
    pub credentials_advice: &'static str,
    /// The attribute of a dbt account that doesn't exist.
    pub account: Option<&'static str>,
    /// The attribute of a dbt instance that can't be called.
    pub instance: Option<&'static str>,
    /// Whose the account and the instance are, to follow `"instance_url"`. Empty for those of the block itself.
    pub whose: &'static str,
    /// The attribute of a connection that the object uses.
    pub connection: Option<&'static str>,
    /// The attribute of an environment that is unknown.
    pub environment: Option<&'static str>,
    /// The attribute of a folder that is unknown.
    pub folder: Option<&'static str>,
    /// The attribute of a secret's name that is taken.
    pub secret: Option<&'static str>,
    /// The attribute of an object that is not found, or is of another kind.
    pub object: Option<&'static str>,
    /// What else can be done if the object, its folder or its project is missing, as a sentence.
    pub if_missing: &'static str,
    /// What an object of another kind is, such as `a connection of another app`.
    pub other_kind: &'static str,
    /// The feature that a server may lack, in the plural.
    pub feature: Option<&'static str>,
    /// What to know before the same is tried again after a failure, to follow "Run `terraform plan` to see the current state;".
    pub again: &'static str,
    /// Attributes, each with the path of its field in a request's body, joined by dots. An empty path stands for the
    /// attribute's name in camel case.
    pub fields: &'static [(&'static str, &'static str)],
}

impl AttributeMap {
    /// No attribute at all.
    pub const NONE: Self = Self {
        project: None,
        name: None,
        credentials: None,
        credentials_advice: "",
        account: None,
        instance: None,
        whose: "",
        connection: None,
        environment: None,
        folder: None,
        secret: None,
        object: None,
        if_missing: "",
        other_kind: "a connection of another app",
        feature: None,
        again: "applying again is safe",
        fields: &[],
    };

    /// The attribute of a field in the body of a request.
    pub fn field(&self, path: &[String]) -> Option<&'static str> {
        let path = path.join(".");
        let is_at = |(attribute, field): &&(&'static str, &str)| match *field {
            "" => camel_case(attribute) == path,
            field => field == path,
        };
        self.fields.iter().find(is_at).map(|(attribute, _)| *attribute)
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        name + &letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    })
}
