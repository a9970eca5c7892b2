//! Where refreshes may go, as tables.

use super::*;

fn base() -> Uri {
    "https://inventory.example/api".parse().unwrap()
}

fn origins(text: &str) -> Vec<Origin> {
    Origin::list(text).unwrap()
}

fn parse(text: &str) -> Result<RefreshFrom, OriginProblem> {
    let allowed = origins("http://prices.example:8080, https://10.0.0.7");
    RefreshFrom::parse(text, &base(), &allowed)
}

#[test]
fn the_inventorys_own_origin_and_those_that_are_listed_may_be_asked() {
    let id = ProductId::parse("a:b+c").unwrap();
    for (text, url, has_id) in [
        (
            "https://inventory.example/prices/{id}",
            "https://inventory.example/prices/a%3Ab%2Bc",
            true,
        ),
        (
            "https://INVENTORY.example:443/p?id={id}&x={id}",
            "https://INVENTORY.example:443/p?id=a%3Ab%2Bc&x=a%3Ab%2Bc",
            true,
        ),
        (
            "http://prices.example:8080/one",
            "http://prices.example:8080/one",
            false,
        ),
        ("https://10.0.0.7/{id}", "https://10.0.0.7/a%3Ab%2Bc", true),
    ] {
        let from = parse(text).unwrap();
        assert_eq!((from.url(&id).as_str(), from.has_id()), (url, has_id));
        assert_eq!(from.to_string(), text);
    }
}

#[test]
fn everything_else_is_refused_with_what_would_be_right() {
    let long = format!("https://inventory.example/{}", "x".repeat(LONGEST));
    for (text, expected) in [
        (
            "https://evil.example/{id}",
            "origins: https://inventory.example, http://prices.example:8080, https://10.0.0.7",
        ),
        ("http://inventory.example/{id}", "origins"),
        ("https://inventory.example:8443/{id}", "origins"),
        ("https://inventory.example.evil.example/", "origins"),
        ("https://inventory.example./", "origins"),
        ("http://prices.example/", "origins"),
        ("https://10.0.0.8/", "origins"),
        ("http://169.254.169.254/latest/meta-data", "origins"),
        ("http://2130706433/", "origins"),
        ("http://[::1]/", "origins"),
        ("https://user@inventory.example/", "credentials"),
        ("https://user:secret@inventory.example/", "credentials"),
        ("https://inventory.example@evil.example/", "credentials"),
        ("https://inventory.example/#x", "fragment"),
        ("https://evil.example#inventory.example", "fragment"),
        ("https://{id}.example/", "braces"),
        ("https://inventory.example/{sku}", "braces"),
        ("https://inventory.example/{{id}}", "braces"),
        ("https://inventory.example\\@evil.example/", "URL"),
        ("https://inventory.example/a b", "URL"),
        ("https://inventory.example/\n", "URL"),
        ("https://inventory.example:0/", "URL"),
        ("https://inventory.example:99999/", "URL"),
        ("https:///{id}", "URL"),
        ("https://", "URL"),
        ("//inventory.example/{id}", "URL"),
        ("/products/{id}", "URL"),
        ("file:///etc/passwd", "URL"),
        ("ftp://inventory.example/", "URL"),
        ("https://ínventory.example/", "URL"),
        ("", "URL"),
        (&long, "URL"),
    ] {
        let problem = parse(text).unwrap_err().to_string();
        assert!(problem.contains(expected), "{text}: {problem}");
        assert!(
            !problem.contains("evil") && !problem.contains("secret"),
            "{problem}"
        );
    }
}

#[test]
fn a_list_of_origins_has_nothing_but_origins() {
    assert_eq!(
        origins("https://a.example, http://b:8080,http://[::1]:9,https://A2.example:443")
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        [
            "https://a.example",
            "http://b:8080",
            "http://[::1]:9",
            "https://a2.example"
        ]
    );
    for (text, expected) in [
        ("", "entry 1"),
        ("https://a,", "entry 2"),
        ("https://a/path", "entry 1"),
        ("https://a?x", "entry 1"),
        ("https://u@a", "entry 1"),
        ("a.example", "entry 1"),
        ("*", "entry 1"),
        ("ftp://a", "entry 1"),
        ("https://a,https://A:443", "entry 2 is there twice"),
    ] {
        let problem = Origin::list(text).unwrap_err();
        assert!(problem.starts_with(expected), "{text}: {problem}");
    }
}

#[test]
fn public_addresses_are_told_from_those_that_are_not() {
    for (address, expected) in [
        ("93.184.216.34", true),
        ("100.63.0.1", true),
        ("172.32.0.1", true),
        ("2606:2800:220:1::", true),
        ("::ffff:93.184.216.34", true),
        ("0.0.0.0", false),
        ("10.1.2.3", false),
        ("100.100.100.200", false),
        ("127.0.0.53", false),
        ("169.254.169.254", false),
        ("172.16.0.1", false),
        ("192.168.0.1", false),
        ("198.18.0.1", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("::", false),
        ("::1", false),
        ("::ffff:10.0.0.1", false),
        ("::7f00:1", false),
        ("64:ff9b::a00:1", false),
        ("2002:a00:1::", false),
        ("2001::1", false),
        ("fd00:ec2::254", false),
        ("fe80::1", false),
        ("ff02::1", false),
        ("2001:db8::1", false),
    ] {
        assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
    }
}
