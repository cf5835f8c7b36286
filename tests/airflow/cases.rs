//! Connections to try the Airflow functions on, always the same ones.

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
