use super::*;
use proptest::prelude::*;

const DIGEST: &str = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";

/// What each form takes, and what it does not.
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn examples() -> Vec<(Format, Vec<String>, Vec<String>)> {
    let own = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    vec![
        (
            Format::HttpUrl,
            own(&[
                "https://inventory.internal/api",
                "http://127.0.0.1:8200",
                "http://[::1]:80/",
                "https://h/a/b/",
            ]),
            own(&[
                "inventory.internal",
                "ftp://h",
                "https://",
                "https:///api",
                "https://h:99999",
                "https://h:/x",
                "https://a b",
                "https://user:pw@h",
                "https://h/?q=1",
                "https://h/#f",
                "HTTPS://h",
            ]),
        ),
        (
            Format::SecureUrl,
            own(&[
                "https://issuer.example/.well-known/jwks.json",
                "http://localhost:8081/keys",
                "http://127.0.0.1/keys",
                "http://[::1]:80/keys",
            ]),
            own(&[
                "http://issuer.example/keys",
                "http://127.0.0.1.example/keys",
                "http://localhost.example/keys",
                "https://user:pw@h/keys",
                "issuer.example",
            ]),
        ),
        (
            Format::OriginList,
            own(&[
                "https://shop.example",
                "https://shop.example, http://localhost:3000",
                "http://[::1]:3000",
                "https://xn--bcher-kva.example:8443",
            ]),
            own(&[
                "",
                "*",
                "null",
                "https://shop.example,*",
                "https://shop.example,",
                "https://shop.example/",
                "https://Shop.example",
                "https://*.example",
                "https://shop.example:443",
                "http://shop.example:80",
                "https://shop.example:0x50",
                "https://shop.example, https://shop.example",
                "https://user@shop.example",
                "ftp://shop.example",
                "https://",
                "shop.example",
                "https://bücher.example",
            ]),
        ),
        (
            Format::SocketAddress,
            own(&[
                "0.0.0.0:8080",
                "[::]:8080",
                ":8080",
                "127.0.0.1:0",
                "[::1]:1",
            ]),
            own(&[
                "8080",
                "0.0.0.0",
                "0.0.0.0:65536",
                "::8080",
                "localhost:8080",
                "0.0.0.0:",
                ":",
                "256.0.0.1:1",
            ]),
        ),
        (
            Format::Credential,
            own(&["k", "a-b_c.d/e+f=", "secret"]),
            own(&["", "a b", "a\n", "ä", "\u{7f}"]),
        ),
        (
            Format::WriteKeys,
            vec![
                format!("shop:{DIGEST}"),
                format!("shop:{DIGEST}, back-office:{}", DIGEST.to_uppercase()),
                format!(" 1:{DIGEST} "),
            ],
            vec![
                String::new(),
                DIGEST.to_owned(),
                format!(":{DIGEST}"),
                format!("shop:{DIGEST}0"),
                format!("shop:{DIGEST},"),
                format!("shop {DIGEST}"),
                format!("sh/op:{DIGEST}"),
                format!("{}:{DIGEST}", "a".repeat(65)),
                format!("shop:+{}", &DIGEST[1..]),
                format!("shop:{}é", &DIGEST[2..]),
            ],
        ),
        (
            Format::MemberList,
            own(&["*", "stock", "stock,weight", " stock , rating "]),
            own(&["", ",", "stock,", "*,stock", "a b", "st*ck"]),
        ),
        (
            Format::LogFilter,
            own(&[
                "info",
                "info,product_catalog=debug",
                "off",
                "product_catalog::cache[read]=trace",
            ]),
            own(&[
                "info,product_catalog=loud",
                "a=b=c",
                "=info=x",
                "aà[",
                "ünï=info",
            ]),
        ),
        (
            Format::VaultPath,
            own(&["secret", "team/secret", "kv-2"]),
            own(&["", "/secret", "secret/", "a//b", "../a", "a?b"]),
        ),
        (
            Format::RefreshOriginList,
            own(&["https://prices.test", "http://a:81 , https://b"]),
            own(&[
                "",
                "*",
                "prices.test",
                "https://a/path",
                "https://u@a",
                "https://a,https://a",
                "ftp://a",
            ]),
        ),
    ]
}

#[test]
fn each_form_takes_what_it_should_and_nothing_else() {
    for (format, good, bad) in examples() {
        for text in good {
            assert_eq!(format.check(&text), Ok(()), "{format:?} {text}");
        }
        for text in bad {
            let rule = format
                .check(&text)
                .expect_err(&format!("{format:?} {text}"));
            assert!(
                text.len() < 9 || !rule.contains(&text),
                "{rule} repeats {text}"
            );
        }
    }
}

#[test]
fn a_pattern_in_the_schema_refuses_nothing_that_its_form_takes() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../configuration/schema.json")).unwrap();
    let mut compared = 0;
    for (name, rules) in schema["properties"].as_object().unwrap() {
        let Some(format) = rules.get("format") else {
            continue;
        };
        let format: Format = serde_json::from_value(format.clone()).unwrap();
        let validator = jsonschema::draft202012::new(rules).unwrap();
        let (_, good, bad) = examples()
            .into_iter()
            .find(|(of, ..)| *of == format)
            .unwrap();
        for text in good {
            assert!(validator.is_valid(&text.clone().into()), "{name} {text}");
        }
        if rules.get("pattern").is_some() {
            compared += 1;
            let refused = bad
                .iter()
                .filter(|text| !validator.is_valid(&(*text).clone().into()));
            assert!(
                refused.count() * 2 >= bad.len(),
                "the pattern of {name} refuses too little"
            );
        }
    }
    assert!(compared >= 10);
}

#[test]
fn a_base_url_loses_its_trailing_slashes() {
    for (text, base) in [
        ("https://h/api/", "https://h/api"),
        ("https://h/api//", "https://h/api"),
        ("https://h/", "https://h/"),
    ] {
        assert_eq!(http_url(text).unwrap().to_string(), base);
    }
}

#[test]
fn an_address_without_a_host_is_every_ipv4_address() {
    assert_eq!(socket_address(":9000"), socket_address("0.0.0.0:9000"));
}

#[test]
fn a_wrong_key_is_found_by_its_position() {
    let rule = write_keys(&format!("a:{DIGEST},hunter2")).unwrap_err();
    assert!(rule.starts_with("entry 2 must be name:digest"), "{rule}");
    let rule = write_keys(&format!("a:{DIGEST},b:{DIGEST},a:{DIGEST}")).unwrap_err();
    assert_eq!(rule, "entry 3 must have a name of its own");
}

proptest! {
    #[test]
    fn write_keys_are_read_as_they_were_written(
        keys in prop::collection::btree_map("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", any::<[u8; 32]>(), 1..5),
        blank in " {0,2}",
    ) {
        let expected: Vec<WriteKey> = keys
            .into_iter()
            .map(|(name, digest)| WriteKey { name, digest })
            .collect();
        let entry = |key: &WriteKey| {
            let digits: String = key.digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{blank}{}:{digits}{blank}", key.name)
        };
        let text = expected.iter().map(entry).collect::<Vec<_>>().join(",");
        prop_assert_eq!(write_keys(&text), Ok(expected));
    }

    #[test]
    fn no_text_is_too_odd_for_any_form(text in ".*") {
        for (format, ..) in examples() {
            let _ = format.check(&text);
        }
    }

    #[test]
    fn no_log_filter_is_too_odd(text in "[a-z_:=,/\\[\\]{}\"* éß-]{0,24}") {
        let _ = Format::LogFilter.check(&text);
    }

    #[test]
    fn what_is_read_as_members_has_no_blanks_and_no_star(text in "[a-c*, ]{0,12}") {
        if let Ok(PublishedMembers::Named(names)) = members(&text) {
            prop_assert!(!names.is_empty());
            prop_assert!(names.iter().all(|name| !name.is_empty() && !name.contains([' ', '*', ','])));
        }
    }
}
