//! Which entity tags name the same value of a product.

/// The codings that a tag may name behind its digest.
const CODINGS: [&[u8]; 3] = [b"gzip", b"br", b"zstd"];

/// Whether two strong tags, quotes included, are of the same value: in whichever version and coding,
/// they have the same digest. Tags that are not ours are of the same value only if they are equal.
pub fn is_same_value(one: &[u8], other: &[u8]) -> bool {
    match (digest(one), digest(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The digest in `"v1-{digest}"`, `"v2-{digest}"`, `"v2-{digest}-gzip"`.
fn digest(tag: &[u8]) -> Option<&[u8]> {
    let opaque = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let rest = opaque
        .strip_prefix(b"v1-")
        .or_else(|| opaque.strip_prefix(b"v2-"))?;
    let end = rest.iter().position(|byte| *byte == b'-');
    let Some(end) = end else { return Some(rest) };
    let (digest, coding) = rest.split_at_checked(end)?;
    CODINGS.contains(&coding.get(1..)?).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_coding_do_not_matter_but_the_digest_and_all_else_do() {
        const TAGS: [&str; 6] = [
            "\"v2-a1\"",
            "\"v1-a1\"",
            "\"v2-a1-gzip\"",
            "\"v2-a1-br\"",
            "\"v2-a1-zstd\"",
            "\"v1-a1-gzip\"",
        ];
        for one in TAGS {
            for other in TAGS {
                assert!(
                    is_same_value(one.as_bytes(), other.as_bytes()),
                    "{one} {other}"
                );
            }
            for other in [
                "\"v2-a2\"",
                "\"v3-a1\"",
                "\"a1\"",
                "v2-a1",
                "\"v2-a1-deflate\"",
                "\"v2-\"",
                "\"\"",
                "\"",
            ] {
                assert!(
                    !is_same_value(one.as_bytes(), other.as_bytes()),
                    "{one} {other}"
                );
            }
        }
        assert!(is_same_value(b"\"theirs\"", b"\"theirs\""));
    }
}
