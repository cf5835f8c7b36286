//! Connections to try the Airflow functions on, always the same ones: values to write, and texts to read.

/// What a connection is made from, and the host name that must come out.
#[derive(Clone, Debug)]
pub struct Case {
    pub instance_url: String,
    pub host: String,
    pub account_id: String,
    pub api_token: String,
}

/// Instance URLs and their host names.
const INSTANCES: &[(&str, &str)] = &[
    ("https://cloud.getdbt.com", "cloud.getdbt.com"),
    ("https://cloud.getdbt.com/", "cloud.getdbt.com"),
    ("https://emea.dbt.com", "emea.dbt.com"),
    ("https://au.dbt.com/deploy/12/projects/3?tab=runs#top", "au.dbt.com"),
    ("https://ab123.us1.dbt.com", "ab123.us1.dbt.com"),
    ("HTTPS://AB123.US1.DBT.COM", "ab123.us1.dbt.com"),
    ("http://emea.dbt.com", "emea.dbt.com"),
    ("https://dbt.internal.example:8443/", "dbt.internal.example"),
    ("https://localhost", "localhost"),
    ("https://my_tenant-1.example.com.", "my_tenant-1.example.com."),
    ("https://192.0.2.7:443", "192.0.2.7"),
    ("https://[2001:DB8::0:1]:8443", "[2001:db8::1]"),
    ("https://bücher.example", "xn--bcher-kva.example"),
    ("https://a!$&'()*+,;=~b.example", "a!$&'()*+,;=~b.example"),
];

/// Texts that have broken somebody's parser. None of them changes under NFC, in which Terraform has all text.
const AWKWARD: &[&str] = &[
    "/",
    "//",
    "://",
    "@",
    ":",
    "%",
    "%2F",
    "%25",
    "%zz",
    "+",
    " ",
    "  ",
    "?",
    "#",
    "&",
    "=",
    ";",
    ",",
    "[",
    "]",
    "[::1]",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "\\u0041",
    "\\n",
    "\n",
    "\r\n",
    "\t",
    "\u{1}",
    "\u{1f}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "<",
    ">",
    "|",
    "^",
    "`",
    "~",
    "!",
    "$",
    "${x}",
    "%{x}",
    "(",
    ")",
    "*",
    "é",
    "ß",
    "İ",
    "ſ",
    "ﬁ",
    "№",
    "℀",
    "：",
    "＠",
    "／",
    "日本語",
    "שלום",
    "Привет",
    "😀",
    "👩\u{200d}💻",
    "\u{200b}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{fffd}",
    "\u{e000}",
    "\u{10ffff}",
    "dbt-cloud://",
    "https://",
    "null",
    "__extra__",
    "-",
    ".",
    "_",
];

/// Makes this many different cases.
pub fn generate(count: usize) -> Vec<Case> {
    let mut random = Random(20_251_122);
    (0..count)
        .map(|number| {
            let (instance_url, host) = INSTANCES[number % INSTANCES.len()];
            let account_id = match number % 3 {
                0 => random.text(&AWKWARD[1..], 6),
                _ => (1 + random.below(70_000_000_000)).to_string(),
            };
            let api_token = match number % 5 {
                // Each awkward text by itself, then many of them together.
                0 => AWKWARD[(number / 5) % AWKWARD.len()].to_owned(),
                1 | 2 => random.text(AWKWARD, 40),
                3 => format!("dbtc_{}", random.ascii(b'!'..=b'~', 40)),
                _ => format!("dbtu_{}", random.ascii(b'0'..=b'z', 255)),
            };
            Case { instance_url: instance_url.to_owned(), host: host.to_owned(), account_id, api_token }
        })
        .collect()
}

/// Texts in both forms, right and wrong: each part in all its kinds with usual ones beside it, then this many
/// random combinations. Nearly all have the token `dbtc_S3CR3T`, or more around it.
///
/// Left out, because a comparison with Airflow says nothing about the function:
/// - NUL, which no environment variable holds, and text that changes under NFC, in which Terraform has all
///   text;
/// - what releases of Python disagree about: pairs of brackets before the path, other than those of an IPv6
///   address, JSON nested a thousand deep, and more than 4,300 digits in a field that is not read;
/// - which host is meant by digits alone, such as `127.1`, and by letters that only one of two standards
///   replaces in an international name, such as wide ones;
/// - digits of other scripts, which Python takes in a port of JSON.
pub fn texts(count: usize) -> Vec<String> {
    let mut random = Random(20_261_201);
    let mut texts = Vec::new();
    for (part, kinds) in URI_PARTS.iter().enumerate() {
        for kind in *kinds {
            let mut parts = URI_PARTS.map(|kinds| kinds[0]);
            parts[part] = kind;
            texts.push(parts.concat());
        }
    }
    for (field, kinds) in JSON_FIELDS {
        for kind in *kinds {
            let mut members = vec![("conn_type", r#""dbt_cloud""#), ("password", r#""dbtc_S3CR3T""#)];
            members.retain(|(name, _)| name != field);
            members.push((field, kind));
            texts.push(json(&members));
        }
    }
    let deep = "[".repeat(500) + &"]".repeat(500);
    texts.push(json(&[("conn_type", r#""dbt_cloud""#), ("password", r#""dbtc_S3CR3T""#), ("extra", &deep)]));
    texts.extend(UNUSUAL_TEXTS.iter().map(|text| (*text).to_owned()));
    for number in 0..count {
        let text = if number % 2 == 0 {
            URI_PARTS.map(|kinds| random.mostly_first(kinds)).concat()
        } else {
            let mut members = Vec::new();
            for (index, (field, kinds)) in JSON_FIELDS.iter().enumerate() {
                // The first four make a connection. Of the others, most connections have none.
                if random.below(10) < if index < 4 { 9 } else { 1 } {
                    members.push((*field, random.mostly_first(kinds)));
                }
            }
            for index in (1..members.len()).rev() {
                members.swap(index, random.below(index as u64 + 1) as usize);
            }
            json(&members)
        };
        let [before, after] = [(); 2].map(|()| random.mostly_first(AROUND));
        texts.push(format!("{before}{text}{after}"));
    }
    texts
}

fn json(members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

/// The parts of a URI. The first kind of each is the usual one.
const URI_PARTS: [&[&str]; 5] = [
    // Scheme.
    &[
        "dbt-cloud://",
        "DBT-CLOUD://",
        "Dbt-Cloud://",
        "dbt_cloud://",
        "dbt+cloud://",
        "dbt.cloud://",
        "dbtcloud://",
        "dbt--cloud://",
        "dbt%2Dcloud://",
        "1dbt-cloud://",
        "http://",
        "https://",
        "://",
        "//",
        "",
        "dbt-cloud:",
        "dbt-cloud:/",
        "dbt-cloud:////",
        "dbt-cloud:\n//",
        "dbt-\ncloud://",
        "dbt-cloud :// ",
        " dbt-cloud://",
        "\u{1}dbt-cloud://",
        "\u{feff}dbt-cloud://",
        "dbt-cloud://https://",
        "dbt-cloud://http://",
        "dbt-cloud://HTTPS://",
        "DBT-CLOUD://https://",
        "DBT-CLOUD://dbt-cloud://",
        "dbt-cloud://ftp://",
        "dbt-cloud://dbt-cloud://",
        "dbt-cloud:dbt-cloud://",
        "dbt-cloud://https://https://",
        "dbt-cloud://my_own://",
        "dbt-cloud://:://",
        "dbt-cloud://://",
        "dbt-cloud://@://",
    ],
    // Login and password.
    &[
        "12345:dbtc_S3CR3T@",
        ":dbtc_S3CR3T@",
        "12345:@",
        "12345@",
        "@",
        ":@",
        "",
        "::@",
        "dbtc_S3CR3T@",
        "12345:dbtc_S3CR3T:b@",
        "12345:dbtc_S3CR3T@b@",
        "a@b:dbtc_S3CR3T@",
        "@12345:dbtc_S3CR3T@",
        "12345:dbtc_S3CR3T@@",
        "12345:dbtc_S3CR3T/x@",
        "12345:dbtc_S3CR3T?x@",
        "12345:dbtc_S3CR3T#x@",
        "12345:dbtc_S3CR3T%2Fx%3Fx%23x%40x%3Ax%5Bx%5D@",
        "12345:dbtc_S3CR3T%2fx%e9@",
        "12345:dbtc_S3CR3T%C3%A9%F0%9F%98%80@",
        "12345:dbtc_S3CR3T%C3@",
        "12345:dbtc_S3CR3T%C3é@",
        "12345:dbtc_S3CR3T%ED%A0%80@",
        "12345:dbtc_S3CR3T%F0%9F%98@",
        "12345:dbtc_S3CR3T%00%0A%0D%09@",
        "12345:dbtc_S3CR3T%@",
        "12345:dbtc_S3CR3T%2@",
        "12345:dbtc_S3CR3T%zz%%25@",
        "12345:dbtc_S3CR3T+ x@",
        "12345:dbtc_\n  S3CR3T\t\r@",
        "12345:dbtc_S3CR3T\u{1}\u{7f}@",
        "12345:dbtc_S3CR3Té😀日本語@",
        "12345:dbtc_S3CR3T[@",
        "12345:dbtc_S3CR3T]@",
        "12345:dbtc_S3CR3T://x@",
        "12345:dbtc_S3CR3T%3A%2F%2F@",
        "12345:dbtc_S3CR3T\\\"'<>{}|^`@",
        "12345:dbtc_S3CR3T⁇⁈@",
        "12345:dbtc_S3CR3T⁉@",
        "12345:dbtc_S3CR3T℀@",
        "12345:dbtc_S3CR3T℁@",
        "12345:dbtc_S3CR3T℅@",
        "12345:dbtc_S3CR3T℆@",
        "12345:dbtc_S3CR3T⩴@",
        "12345:dbtc_S3CR3T︓@",
        "12345:dbtc_S3CR3T︖@",
        "12345:dbtc_S3CR3T﹕@",
        "12345:dbtc_S3CR3T﹖@",
        "12345:dbtc_S3CR3T﹟@",
        "12345:dbtc_S3CR3T﹫@",
        "12345:dbtc_S3CR3T＃@",
        "12345:dbtc_S3CR3T／@",
        "12345:dbtc_S3CR3T：@",
        "12345:dbtc_S3CR3T？@",
        "12345:dbtc_S3CR3T＠@",
        "12345:dbtc_S3CR3Tﬁ№＝@",
        "%31%32:dbtc_S3CR3T@",
        "%20 12 %FF:dbtc_S3CR3T@",
        "12_345:dbtc_S3CR3T@",
        "my-account:dbtc_S3CR3T@",
        "é:dbtc_S3CR3T@",
    ],
    // Host.
    &[
        "emea.dbt.com",
        "",
        "EMEA.DBT.com",
        "em%65a%2Edbt.com",
        "emea.dbt.com%",
        "emea.dbt.com%zz",
        "emea.dbt.com%FF",
        "emea%20dbt.com",
        "emea dbt.com",
        "emea.\ndbt.com",
        "emea.dbt.com%0A",
        "emea%09.dbt.com",
        "%20emea.dbt.com",
        "my_tenant.example",
        "tenant__one.example",
        "localhost",
        "192.0.2.7",
        "[::1]",
        "%5B::1%5D",
        "%5B%3A%3A1%5D",
        "%5B2001%3Adb8%3A%3A1%5D%3A8443",
        "[::1",
        "::1]",
        "bücher.example",
        "b%C3%BCcher.example",
        "日本語.example",
        "emea.dbt.com\u{200b}",
        "emea%E2%80%8B.dbt.com",
        "emea%C2%AD.dbt.com",
        "emea。dbt.com",
        "😀.example",
        "%2A.dbt.com",
        "*.dbt.com",
        ".dbt.com",
        "emea.dbt.com.",
        "https%3A%2F%2Femea.dbt.com",
        "HTTPS%3A%2F%2FEMEA.dbt.com%2F",
        "http%3A%2F%2Femea.dbt.com%2Fdeploy%2F1",
        "https%3A%2F%2Femea.dbt.com%3A8443",
        "https%3A%2F%2F",
        "https%3A%2Femea.dbt.com",
        "ftp%3A%2F%2Femea.dbt.com",
        "emea.dbt.com%2Fdeploy",
        "emea.dbt.com%3A8443",
        "emea.dbt.com%3Ax",
        "emea.dbt.com%3Fa%23b",
        "emea.dbt.com%5Cb",
        "%2Femea.dbt.com",
        "%5Cemea.dbt.com",
        "%3F",
        "user%40emea.dbt.com",
        "user%3Apassword%40emea.dbt.com",
        "emea%22.dbt.com",
        "emea%3C.dbt.com",
        "emea%7B%7D%60.dbt.com",
        "emea%7C%5E.dbt.com",
        "emea%7F.dbt.com",
        "emea%01.dbt.com",
        "a!$&'()*+,;=~b.example",
        "%252A.dbt.com",
        "em%2565a.dbt.com",
    ],
    // Port.
    &[
        "",
        ":443",
        ":",
        ":0",
        ":65535",
        ":65536",
        ":000443",
        ":99999999999999999999",
        ":x",
        ":+443",
        ":-1",
        ":4 43",
        ":44%33",
        ":443:443",
        ":٤٤٣",
        ":443 ",
    ],
    // Path, query, fragment.
    &[
        "",
        "/",
        "/schema",
        "/a/b%2Fc%FF@d:e",
        "?a=b",
        "/?a=b&a=c&=&d",
        "/?__extra__=%7B%22a%22%3A+1%7D",
        "/?__extra__=no+json",
        "/?__extra__=%5B1%5D&a=b",
        "/?__extra__=",
        "/?proxies=%7B%22https%22%3A+%22http%3A%2F%2Fproxy%3A3128%22%7D",
        "/?proxies=http://proxy:3128",
        "?a=b@c:d",
        "/?%FF=%zz%",
        "#fragment",
        "/x#a://b",
        "/[x",
        "/：＠",
        "/a b\nc",
    ],
];

/// The fields of JSON, and what is written there as a value. The first kind of each is the usual one.
const JSON_FIELDS: &[(&str, &[&str])] = &[
    (
        "conn_type",
        &[
            r#""dbt_cloud""#,
            r#""dbt-cloud""#,
            r#""DBT_CLOUD""#,
            r#""Dbt-Cloud""#,
            r#""dbt cloud""#,
            r#"" dbt_cloud""#,
            r#""dbt\u005fcloud""#,
            r#""dbt--cloud""#,
            r#""http""#,
            r#""""#,
            "null",
            "0",
            "1",
            "true",
            "[]",
            r#"["dbt_cloud"]"#,
            r#"{"dbt_cloud": 1}"#,
            r#""\ud800""#,
        ],
    ),
    (
        "password",
        &[
            r#""dbtc_S3CR3T""#,
            r#""dbtc_S3CR3T\u00e9\ud83d\ude00é😀""#,
            r#""dbtc_S3CR3T\/\"\\\b\f\n\r\t\u0000""#,
            r#""dbtc_S3CR3T%2F@:+ ""#,
            "\"dbtc_S3CR3T\n\"",
            "\"dbtc_S3CR3T\u{7f}\u{85}\u{2028}\"",
            r#""dbtc_S3CR3T\x""#,
            r#""dbtc_S3CR3T\u12""#,
            r#""dbtc_S3CR3T\ud800""#,
            r#""dbtc_S3CR3T\ude00\ud83d""#,
            "'dbtc_S3CR3T'",
            "dbtc_S3CR3T",
            r#"["dbtc_S3CR3T"]"#,
            r#"{"dbtc": "S3CR3T"}"#,
            r#""""#,
            r#"" ""#,
            "null",
            "true",
            "false",
            "0",
            "-0",
            "5",
            "-5",
            "123456789012345678901234567890",
            "1.5",
            "1e5",
            "0.0",
            "NaN",
            "[]",
            "{}",
        ],
    ),
    (
        "login",
        &[
            r#""12345""#,
            "12345",
            r#""""#,
            "null",
            r#"" 12345\n""#,
            r#""12345.0""#,
            r#""my-account""#,
            r#""0""#,
            r#""null""#,
            r#""\u0031é""#,
            r#""\udc00""#,
            "0",
            "-0",
            "-5",
            "7",
            "12345.0",
            "12345.9",
            "-12345.9",
            "0.5",
            "-0.5",
            "0.0",
            "-0.0",
            "1e5",
            "1E+22",
            "12345e-2",
            "9007199254740993",
            "9007199254740993.0",
            "18446744073709551616",
            "123456789012345678901234567890",
            "1e308",
            "1e309",
            "-1e309",
            "1e-400",
            "NaN",
            "Infinity",
            "-Infinity",
            "-NaN",
            "nan",
            "1NaN",
            "true",
            "false",
            "True",
            "[]",
            "[1]",
            "{}",
            r#"{"id": 1}"#,
            "012345",
            "+12345",
            "12_345",
            "0x10",
            "1.",
            ".5",
            "1e",
        ],
    ),
    (
        "host",
        &[
            r#""emea.dbt.com""#,
            "null",
            r#""""#,
            r#""EMEA.dbt.com""#,
            r#""https://emea.dbt.com""#,
            r#""HTTP://EMEA.dbt.com:8443/deploy/?a=b#c""#,
            r#""https://user:password@emea.dbt.com""#,
            r#""ftp://emea.dbt.com""#,
            r#""https:emea.dbt.com""#,
            r#""//emea.dbt.com""#,
            r#""emea.dbt.com/""#,
            r#""emea.dbt.com:8443/x y""#,
            r#""emea.dbt.com/?u=http://x""#,
            r#""emea.dbt.com:""#,
            r#""emea.dbt.com:65536""#,
            r#"" emea.dbt.com""#,
            r#""emea.dbt.com ""#,
            r#""emea.dbt.com\n""#,
            r#""em\tea.dbt.com""#,
            r#""emea%2Edbt.com""#,
            r#""::1""#,
            r#""[::1]""#,
            r#""[2001:DB8::0:1]:443""#,
            r#""[::1""#,
            r#""bücher.example""#,
            r#""b\u00fccher.example""#,
            r#""*.dbt.com""#,
            r#"".dbt.com""#,
            r#""\ud800.dbt.com""#,
            "5",
            "0",
            "false",
            "true",
            "[]",
            r#"["emea.dbt.com"]"#,
            "{}",
        ],
    ),
    (
        "port",
        &[
            "443",
            "null",
            "0",
            r#""""#,
            r#""443""#,
            r#"" 4_43\t""#,
            r#""+443""#,
            r#""-443""#,
            r#""443.0""#,
            r#""x""#,
            r#""4__3""#,
            r#""_43""#,
            r#""0x1bb""#,
            r#""+ 443""#,
            "443.9",
            "1e400",
            "NaN",
            "true",
            "false",
            "[]",
            "[443]",
            "{}",
            r#"{"port": 443}"#,
            "70000",
            "-1",
        ],
    ),
    (
        "extra",
        &[
            r#"{"proxies": {"https": "http://proxy:3128"}}"#,
            r#""{\"proxies\": {\"https\": \"http://proxy:3128\"}}""#,
            "{}",
            r#""""#,
            "null",
            r#""no JSON""#,
            r#""[1]""#,
            "[1, NaN, -Infinity, {\"a\": Infinity}]",
            r#"{"NaN": "Infinity \" NaN"}"#,
            "5",
            "true",
            r#"{"a": "\ud800"}"#,
            r#"{"a": 1, "a": 2, "": []}"#,
            r#"{"a": [}"#,
            r#"{a: 1}"#,
            r#"{"$serde_json::private::Number": "x"}"#,
        ],
    ),
    ("schema", &[r#""""#, r#""x""#, "null", "5", "[NaN]"]),
    ("description", &[r#""dbt""#, "null", "[1]", r#""\ud800""#]),
    ("uri", &["null", r#""dbt-cloud://:dbtc_S3CR3T@""#, r#""""#, "5", "[]"]),
    ("conn_id", &[r#""dbt_cloud_default""#]),
    ("team_name", &[r#""a""#]),
    ("extra_dejson", &["{}"]),
    ("Login", &[r#""12345""#]),
    ("", &["null"]),
];

/// What stands before and after a text, which is usually nothing.
const AROUND: &[&str] = &[
    "",
    " ",
    "\n",
    "\r\n\t",
    "\u{b}\u{c}",
    "\u{1c}\u{1f}",
    "\u{85}\u{a0}\u{3000}",
    "\u{1}",
    "\u{feff}",
    "\u{200b}",
    "\"",
    "'",
    "x",
    ",",
    "# dbt\n",
];

/// Texts that have no parts.
const UNUSUAL_TEXTS: &[&str] = &[
    "",
    " ",
    "{",
    "{}",
    "{}}",
    "[]",
    "[{\"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"}]",
    "null",
    "\"dbt-cloud://:dbtc_S3CR3T@\"",
    "dbtc_S3CR3T",
    "AIRFLOW_CONN_DBT=dbt-cloud://:dbtc_S3CR3T@",
    "\u{feff}{\"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"}",
    "{\"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"} // dbt",
    "{/* dbt */ \"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"}",
    "{\"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\",}",
    "{\"conn_type\": \"dbt_cloud\" \"password\": \"dbtc_S3CR3T\"}",
    "{'conn_type': 'dbt_cloud', 'password': 'dbtc_S3CR3T'}",
    "{conn_type: \"dbt_cloud\", password: \"dbtc_S3CR3T\"}",
    "{\"conn_type\":\"dbt_cloud\",\"password\":\"dbtc_S3CR3T\"}",
    "{\n\t\"conn_type\" :\r\n \"dbt_cloud\" , \"password\" : \"dbtc_S3CR3T\"\n}",
    "{\u{a0}\"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"}",
    "{\"conn_type\": \"http\", \"conn_type\": \"dbt_cloud\", \"password\": 1, \"password\": \"dbtc_S3CR3T\"}",
    "{\"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\", \"password\": null}",
    "{\"conn\\u005ftype\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"}",
    "{\"\\ud800\": 1, \"conn_type\": \"dbt_cloud\", \"password\": \"dbtc_S3CR3T\"}",
    "{\"uri\": \"dbt-cloud://12345:dbtc_S3CR3T@emea.dbt.com\"}",
    "{\"uri\": \" dbt-cloud://12345:dbtc_S3CR3T@emea.dbt.com \"}",
    "{\"uri\": \"dbt-cloud://:dbtc_S3CR3T@\", \"conn_type\": \"\", \"port\": 0, \"extra\": {}}",
    "{\"uri\": \"dbt-cloud://:dbtc_S3CR3T@\", \"conn_type\": null, \"port\": \"\", \"extra\": []}",
    "{\"uri\": \"dbt-cloud://:dbtc_S3CR3T@\", \"conn_type\": \"dbt_cloud\"}",
    "{\"uri\": \"dbt-cloud://:dbtc_S3CR3T@\", \"host\": null}",
    "{\"uri\": \"dbt-cloud://:dbtc_S3CR3T@\", \"description\": \"dbt\"}",
    "{\"uri\": \"dbt-cloud://:dbtc_S3CR3T@\", \"extra\": {\"a\": 1}}",
    "{\"uri\": \"dbt_cloud://:dbtc_S3CR3T@\"}",
    "{\"uri\": \"{\\\"conn_type\\\": \\\"dbt_cloud\\\"}\"}",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// The first one in three of four cases.
    fn mostly_first<'a>(&mut self, kinds: &[&'a str]) -> &'a str {
        if self.below(4) > 0 { kinds[0] } else { kinds[self.below(kinds.len() as u64) as usize] }
    }

    /// Between 1 and this many of the pieces.
    fn text(&mut self, pieces: &[&str], most: u64) -> String {
        let count = 1 + self.below(most);
        (0..count).map(|_| pieces[self.below(pieces.len() as u64) as usize]).collect()
    }

    /// Between 1 and this many of the characters.
    fn ascii(&mut self, range: std::ops::RangeInclusive<u8>, most: u64) -> String {
        let count = 1 + self.below(most);
        let width = u64::from(range.end() - range.start()) + 1;
        (0..count).map(|_| char::from(range.start() + self.below(width) as u8)).collect()
    }
}
