//! Who signs, and what.

use super::dates;
use super::files::{self, Directory};
use anyhow::{Context, bail};
use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rep_env::net::Identity;
use std::time::SystemTime;
use x509_parser::certificate::X509Certificate;

/// As long as a name can be in the frames that members introduce themselves with.
const NAME_BYTES_MAX: usize = 255;

/// The authority of one group, with its key.
pub(super) struct Authority {
    group: String,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn make(group: &str, days: u32, now: SystemTime) -> anyhow::Result<Self> {
        check_name("group", group)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = dates::span(now, days)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Each has a name of its own: a list of what is revoked is found by it.
        let number: String =
            params.key_identifier(&key).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, group);
        name.push(DnType::CommonName, format!("rep authority {number}"));
        params.distinguished_name = name;
        let pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Authority { group: group.to_owned(), pem, issuer })
    }

    /// The one that signs in this directory.
    pub(super) fn open(dir: &Directory) -> anyhow::Result<Self> {
        dir.expect(files::CA, "make an authority first: rep certs init --group GROUP")?;
        dir.expect(files::CA_KEY, "the authority cannot sign without its key")?;
        let bundle = dir.read(files::CA)?;
        let wrong = || format!("{} cannot be read as certificates", dir.path(files::CA).display());
        let key = KeyPair::from_pem(&dir.read(files::CA_KEY)?)
            .with_context(|| format!("{} is no private key", dir.path(files::CA_KEY).display()))?;
        for block in certificates(&bundle).with_context(wrong)? {
            let certificate = parsed(&block).with_context(wrong)?;
            if certificate.public_key().subject_public_key.data != key.public_key_raw() {
                continue;
            }
            let name = certificate.subject().iter_organization().next();
            let group = name.and_then(|name| name.as_str().ok()).with_context(wrong)?.to_owned();
            let der = block.contents().into();
            let issuer = Issuer::from_ca_cert_der(&der, key).with_context(wrong)?;
            return Ok(Authority { group, pem: pem::encode(&block), issuer });
        }
        bail!(
            "{} is the key of none of the authorities in {}: they were put together from two",
            dir.path(files::CA_KEY).display(),
            dir.path(files::CA).display()
        )
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A certificate for a member, and its key behind it.
    pub(super) fn issue(
        &self,
        node: &str,
        dns: &[String],
        days: u32,
        now: SystemTime,
    ) -> anyhow::Result<String> {
        check_name("node", node)?;
        let mut params = CertificateParams::new(dns)
            .with_context(|| format!("{} is no DNS name", dns.join(", ")))?;
        let name = Identity::new(&*self.group, node).to_uri();
        params.subject_alt_names.insert(0, SanType::URI(name.as_str().try_into()?));
        (params.not_before, params.not_after) = dates::span(now, days)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, self.group.as_str());
        // For people: at most 64 characters are allowed there, and the name that counts is the URI.
        subject.push(DnType::CommonName, node.chars().take(64).collect::<String>());
        params.distinguished_name = subject;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(certificate.pem() + &key.serialize_pem())
    }

    /// The serial number of a member's certificate, if this authority has signed it.
    pub(super) fn serial_of_own(&self, text: &str) -> anyhow::Result<Vec<u8>> {
        let own = self.certificate()?;
        let own = parsed(&own)?;
        for block in certificates(text)? {
            let certificate = parsed(&block)?;
            if certificate.verify_signature(Some(own.public_key())).is_ok() {
                return Ok(certificate.raw_serial().to_vec());
            }
        }
        bail!(
            "another authority has signed it: rep certs renew --ca --drop-old trusts what the newest has signed alone"
        )
    }

    /// Its name, as it stands in what it signs.
    pub(super) fn name(&self) -> anyhow::Result<Vec<u8>> {
        Ok(parsed(&self.certificate()?)?.subject().as_raw().to_vec())
    }

    fn certificate(&self) -> anyhow::Result<Pem> {
        certificates(&self.pem)?.into_iter().next().context("an authority has a certificate")
    }
}

/// The certificates in a PEM file; keys and the like are passed over.
pub(super) fn certificates(text: &str) -> anyhow::Result<Vec<Pem>> {
    let blocks = pem::parse_many(text).context("no PEM file")?;
    Ok(blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE").collect())
}

pub(super) fn parsed(block: &Pem) -> anyhow::Result<X509Certificate<'_>> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(block.contents())?;
    if !rest.is_empty() {
        bail!("a certificate with something behind it");
    }
    Ok(certificate)
}

fn check_name(what: &str, name: &str) -> anyhow::Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        bail!("the name of a {what} has 1 to {NAME_BYTES_MAX} bytes");
    }
    if name.contains(['=', ',']) || name.chars().any(char::is_control) {
        bail!("the name of a {what} holds no '=', no ',' and no control characters");
    }
    Ok(())
}
