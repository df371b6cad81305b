//! International bank account numbers (ISO 13616): the length of the country, and the check digits.

use std::ops::Range;

use super::Verdict;
use super::hint::apart;
use crate::text::{byte, slice, stands_alone};

pub(super) const PATTERN: &str = r"[A-Za-z]{2}[0-9]{2}[ -]?[A-Za-z0-9]{3}";

/// A country, and some of what follows.
pub(super) const HINT: &str = apart!(concat!(
    "(?i:A[DELTZ]|B[AEGHIRY]|C[HRYZ]|D[EJKO]|E[EGS]|F[IKOR]|G[BEILRT]|H[NRU]|I[ELQST]|JO|K[WZ]|L[BCITUVY]",
    "|M[CDEKNRTU]|N[ILO]|OM|P[KLST]|QA|R[OSU]|S[ACDEIKMOTV]|T[LNR]|UA|V[AG]|XK|YE)",
    "[0-9]{2}[ -]?[A-Za-z0-9]"
));

/// The countries of the IBAN registry, each with its length.
const COUNTRIES: &str = "\
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 \
    CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 \
    FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 \
    IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 \
    MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 \
    PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 \
    SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

pub(super) fn judge(text: &[u8], matched: Range<usize>) -> Verdict {
    let start = matched.start;
    let country = slice(text, start..start + 2).to_ascii_uppercase();
    let length = COUNTRIES
        .split(' ')
        .find_map(|entry| entry.as_bytes().strip_prefix(country.as_slice()))
        .and_then(|length| str::from_utf8(length).ok()?.parse().ok());
    match length.and_then(|length| end_of(text, start, length)) {
        Some(end) if stands_alone(text, &(start..end)) && is_valid(slice(text, start..end)) => {
            Verdict::Found(start..end)
        }
        _ => Verdict::No,
    }
}

/// Where `length` letters and digits end that start here, each but the first after at most one space
/// or hyphen.
fn end_of(text: &[u8], start: usize, length: usize) -> Option<usize> {
    let mut at = start;
    for place in 0..length {
        if place > 0 && matches!(byte(text, at), Some(b' ' | b'-')) {
            at += 1;
        }
        byte(text, at).filter(u8::is_ascii_alphanumeric)?;
        at += 1;
    }
    Some(at)
}

/// ISO 7064 MOD 97-10: the first four characters moved to the end, letters as 10 to 35, leave 1.
fn is_valid(iban: &[u8]) -> bool {
    let characters: Vec<u8> = iban
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .copied()
        .collect();
    let (head, account) = characters.split_at(4.min(characters.len()));
    let rest = account.iter().chain(head).fold(0, |rest, character| {
        match char::from(*character).to_digit(36).unwrap_or(0) {
            digit @ 0..=9 => (rest * 10 + digit) % 97,
            letter => (rest * 100 + letter) % 97,
        }
    });
    rest == 1
}
