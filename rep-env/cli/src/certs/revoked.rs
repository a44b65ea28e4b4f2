//! What is trusted no more although it has not expired: one list an authority (RFC 5280, section 5), all in one file.

use super::authority::Authority;
use super::dates;
use anyhow::{Context, bail};
use pem::Pem;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use std::time::SystemTime;
use x509_parser::revocation_list::CertificateRevocationList;

/// A list says when the next one is due; nothing here goes by that, as one that is late must not stop a group.
const NEXT_DAYS: u32 = 3650;

/// The lists of `before`, with one more serial number in the authority's own.
pub(super) fn with(
    before: &str,
    authority: &Authority,
    serial: &[u8],
    now: SystemTime,
) -> anyhow::Result<String> {
    let (own, others) = signed(before, authority, Some(serial), now)?;
    Ok(own + &others)
}

/// The authority's own list alone, which may be empty: members that were told to look at it find one.
pub(super) fn only_of(
    before: &str,
    authority: &Authority,
    now: SystemTime,
) -> anyhow::Result<String> {
    Ok(signed(before, authority, None, now)?.0)
}

/// The authority's own list, signed anew, and those of the others.
fn signed(
    before: &str,
    authority: &Authority,
    added: Option<&[u8]>,
    now: SystemTime,
) -> anyhow::Result<(String, String)> {
    let name = authority.name()?;
    let (mut others, mut revoked, mut number) = (String::new(), Vec::new(), 1);
    for block in lists(before)? {
        let list = parsed(&block)?;
        if list.issuer().as_raw() != name {
            others += &pem::encode(&block);
            continue;
        }
        number = list.crl_number().and_then(|number| number.try_into().ok()).unwrap_or(0u64) + 1;
        revoked.extend(list.iter_revoked_certificates().map(|entry| RevokedCertParams {
            serial_number: SerialNumber::from_slice(entry.raw_serial()),
            revocation_time: entry.revocation_date.to_datetime(),
            reason_code: None,
            invalidity_date: None,
        }));
    }
    let (this_update, next_update) = dates::span(now, NEXT_DAYS)?;
    let added = added.map(SerialNumber::from_slice);
    if let Some(serial_number) = added
        && !revoked.iter().any(|entry| entry.serial_number == serial_number)
    {
        revoked.push(RevokedCertParams {
            serial_number,
            revocation_time: this_update,
            reason_code: None,
            invalidity_date: None,
        });
    }
    let params = CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok((params.signed_by(authority.issuer())?.pem()?, others))
}

/// The serial numbers that a file of lists has.
pub(super) fn serials(text: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for block in lists(text)? {
        let list = parsed(&block)?;
        found.extend(list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()));
    }
    Ok(found)
}

fn lists(text: &str) -> anyhow::Result<Vec<Pem>> {
    let blocks = pem::parse_many(text).context("no PEM file")?;
    Ok(blocks.into_iter().filter(|block| block.tag() == "X509 CRL").collect())
}

fn parsed(block: &Pem) -> anyhow::Result<CertificateRevocationList<'_>> {
    let (rest, list) = x509_parser::parse_x509_crl(block.contents())?;
    if !rest.is_empty() {
        bail!("a list with something behind it");
    }
    Ok(list)
}
