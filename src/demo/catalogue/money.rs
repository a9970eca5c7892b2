//! Decimal prices to integers in minor units, exactly: on digits, never through a float.

/// Reads a JSON number as an amount in minor units of a currency with `digits` decimals.
///
/// # Errors
/// The rule that `number` breaks.
pub(super) fn minor_units(number: &str, digits: u16) -> Result<i64, &'static str> {
    const NOT_DECIMAL: &str = "must be a decimal number";
    const TOO_LARGE: &str = "is too large";
    if number.starts_with('-') {
        return Err("must not be negative");
    }
    let (plain, exponent) = match number.split_once(['e', 'E']) {
        // More digits than fit in the exponent's type move the point just as far out of range.
        Some((plain, text)) => (plain, exponent(text).ok_or(NOT_DECIMAL)?),
        None => (number, 0),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(NOT_DECIMAL);
    }
    let significant = format!("{whole}{fraction}");
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Ok(0);
    }
    // The value is `trimmed` times ten to the power of `shift`, in minor units.
    let dropped = significant.len() - trimmed.len() + usize::from(digits);
    let shift = exponent
        .saturating_add(i64::try_from(dropped).unwrap_or(i64::MAX))
        .saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
    if shift < 0 {
        return Err("has more decimals than its currency");
    }
    let factor = u32::try_from(shift).ok().and_then(|n| 10i64.checked_pow(n));
    let amount = trimmed.parse::<i64>().ok();
    amount
        .zip(factor)
        .and_then(|(amount, factor)| amount.checked_mul(factor))
        .ok_or(TOO_LARGE)
}

/// An exponent; one out of range counts as the largest of its sign.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX / 4);
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_become_minor_units_exactly() {
        for (number, digits, expected) in [
            ("9.99", 2, Ok(999)),
            ("5", 2, Ok(500)),
            ("0.1", 2, Ok(10)),
            ("0", 2, Ok(0)),
            ("0.000", 2, Ok(0)),
            ("0e999999999999999999999", 2, Ok(0)),
            ("1e2", 2, Ok(10_000)),
            ("1.5E+1", 2, Ok(1500)),
            ("999e-2", 2, Ok(999)),
            ("12.340", 2, Ok(1234)),
            ("1.10000000000000000000000000000", 2, Ok(110)),
            ("100", 0, Ok(100)),
            ("100.0", 0, Ok(100)),
            ("1.234", 3, Ok(1234)),
            ("0.29", 2, Ok(29)),
            ("1.15", 2, Ok(115)),
            ("1129.99", 2, Ok(112_999)),
            ("92233720368547758.07", 2, Ok(i64::MAX)),
            ("92233720368547758.08", 2, Err("is too large")),
            ("1e30", 2, Err("is too large")),
            ("1e999999999999999999999", 2, Err("is too large")),
            ("12.345", 2, Err("has more decimals than its currency")),
            ("1.5", 0, Err("has more decimals than its currency")),
            ("1e-3", 2, Err("has more decimals than its currency")),
            (
                "1e-999999999999999999999",
                2,
                Err("has more decimals than its currency"),
            ),
            ("-1", 2, Err("must not be negative")),
            ("", 2, Err("must be a decimal number")),
            ("1.", 2, Err("must be a decimal number")),
            (".5", 2, Err("must be a decimal number")),
            ("1e", 2, Err("must be a decimal number")),
            ("1,5", 2, Err("must be a decimal number")),
            ("NaN", 2, Err("must be a decimal number")),
        ] {
            assert_eq!(
                minor_units(number, digits),
                expected,
                "{number} at {digits}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_was_written_with_two_decimals_comes_back(amount in 0i64..=i64::MAX) {
            let text = format!("{}.{:02}", amount / 100, amount % 100);
            prop_assert_eq!(minor_units(&text, 2), Ok(amount));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.eE+-]{0,30}|.*", digits in 0u16..5) {
            let _ = minor_units(&text, digits);
        }
    }
}
