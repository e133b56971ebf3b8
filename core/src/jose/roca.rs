//! The ROCA fingerprint (CVE-2017-15361): RSA moduli of the flawed Infineon library are powers of
//! 65537 modulo each of these primes, which a random modulus is with a chance of about 2^-28.
//! Source: Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, §3.1.

const PRIMES: [u32; 17] =
    [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// `n` is big-endian.
pub fn is_vulnerable(n: &[u8]) -> bool {
    PRIMES.iter().all(|&p| {
        let residue = n.iter().fold(0, |acc, &byte| (acc * 256 + u32::from(byte)) % p);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65537 % p) % p));
        powers.zip(1..p).any(|(power, _)| power == residue)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_65537_are_found_and_a_plain_number_is_not() {
        assert!(is_vulnerable(&[1, 0, 1]));
        // 65537^2
        assert!(is_vulnerable(&[1, 0, 2, 0, 1]));
        assert!(!is_vulnerable(&[1, 0, 3]));
    }
}
