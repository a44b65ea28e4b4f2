//! How long the RSA key of a certificate is. Curves need no look: those that are weak are not among the algorithms.
//!
//! The algorithms below refuse a short key, too, but as a signature that does not fit, and only when its holder has signed: whoever issues
//! certificates should read what is wrong with them.

use super::validity::{Der, SEQUENCE};
use crate::error::CertificateFault;

/// What can be factored before the certificate expires is no secret.
const RSA_BITS_MIN: usize = 2048;

const OBJECT_IDENTIFIER: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// `rsaEncryption`, 1.2.840.113549.1.1.1.
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

/// Whether that public key (a `SubjectPublicKeyInfo` in DER) is long enough.
pub(super) fn check(public_key: &[u8]) -> Result<(), CertificateFault> {
    match rsa_bits(public_key) {
        Some(bits) if bits < RSA_BITS_MIN => {
            Err(CertificateFault::WeakKey { bits, bits_min: RSA_BITS_MIN })
        }
        Some(_) | None => Ok(()),
    }
}

/// The length of the modulus; none if it is no RSA key, or none that can be read.
fn rsa_bits(public_key: &[u8]) -> Option<usize> {
    let mut fields = Der(Der(public_key).expect(SEQUENCE)?);
    let algorithm = Der(fields.expect(SEQUENCE)?).expect(OBJECT_IDENTIFIER)?;
    let (unused_bits, key) = fields.expect(BIT_STRING)?.split_first()?;
    if algorithm != RSA || *unused_bits != 0 {
        return None;
    }
    let modulus = Der(Der(key).expect(SEQUENCE)?).expect(INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let bytes = &modulus[zeros..];
    Some(bytes.len() * 8 - bytes.first().map_or(0, |byte| byte.leading_zeros() as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key with this modulus.
    fn rsa(modulus: &[u8]) -> Vec<u8> {
        let value = |tag: u8, value: &[u8]| {
            let length = u16::try_from(value.len()).unwrap().to_be_bytes();
            [&[tag, 0x82], &length[..], value].concat()
        };
        let key = [value(INTEGER, modulus), value(INTEGER, &[1, 0, 1])].concat();
        let algorithm = [value(OBJECT_IDENTIFIER, &RSA), vec![5, 0]].concat();
        let key = value(BIT_STRING, &[vec![0], value(SEQUENCE, &key)].concat());
        value(SEQUENCE, &[value(SEQUENCE, &algorithm), key].concat())
    }

    #[test]
    fn an_rsa_key_has_as_many_bits_as_its_modulus() {
        for (modulus, bits) in [
            ([&[0, 0x80][..], &[1; 255]].concat(), 2048),
            ([&[0x7f][..], &[1; 255]].concat(), 2047),
            ([&[0, 0x80][..], &[1; 127]].concat(), 1024),
            (vec![0; 256], 0),
            (vec![], 0),
        ] {
            assert_eq!(rsa_bits(&rsa(&modulus)), Some(bits));
            let weak = CertificateFault::WeakKey { bits, bits_min: 2048 };
            assert_eq!(check(&rsa(&modulus)).err(), (bits < 2048).then_some(weak));
        }
    }

    #[test]
    fn what_is_no_rsa_key_has_no_length_and_its_algorithm_says_whether_it_is_taken() {
        let whole = rsa(&[1; 128]);
        for cut in 0..whole.len() {
            assert_eq!(rsa_bits(&whole[..cut]), None, "{cut}");
        }
        let ecdsa = rcgen::KeyPair::generate().unwrap();
        assert_eq!(check(&rcgen::PublicKeyData::subject_public_key_info(&ecdsa)), Ok(()));
    }
}
