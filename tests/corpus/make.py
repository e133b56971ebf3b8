#!/usr/bin/env python3
"""Writes the input documents of the corpus (`in/`) and what each must come to (`expected.json`).

Run by hand when a case is added; the results are committed. Keys are made once and kept in
`keys.json` (they are for tests and sign nothing else), so that a second run writes the same bytes.

    python3 tests/corpus/make.py        # needs the package `cryptography`
"""
import base64, datetime, gzip, json, os, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "in")
KEYS = os.path.join(HERE, "keys.json")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def num(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


# --- keys ---------------------------------------------------------------------------------------

def make_keys():
    made = {}

    def pem(key):
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode()

    for name in ("g", "o", "h"):
        made[name] = pem(rsa.generate_private_key(65537, 2048))
    made["rsa3"] = pem(rsa.generate_private_key(3, 2048))
    made["rsa1024"] = pem(rsa.generate_private_key(65537, 1024))
    made["rsa2047"] = pem(rsa.generate_private_key(65537, 2047))
    made["rsa8192"] = pem(rsa.generate_private_key(65537, 8192))
    for name, curve in (("p256", ec.SECP256R1()), ("p384", ec.SECP384R1()),
                        ("p521", ec.SECP521R1()), ("k256", ec.SECP256K1())):
        made[name] = pem(ec.generate_private_key(curve))
    while True:  # one key in 256: x with a leading zero
        key = ec.generate_private_key(ec.SECP256R1())
        if key.public_key().public_numbers().x >> 248 == 0:
            made["p256short"] = pem(key)
            break
    made["ed"] = pem(ed25519.Ed25519PrivateKey.generate())
    made["x25519"] = pem(x25519.X25519PrivateKey.generate())
    return made


def certificates(keys):
    """Certificates, made once as well: their dates and serial numbers must not move."""
    def cert(name, subject=None, issuer=None, signer=None, end=2124):
        subject_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or name)])
        issuer_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or subject or name)])
        signing = keys[signer or name]
        algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        made = (x509.CertificateBuilder().subject_name(subject_name).issuer_name(issuer_name)
                .public_key(keys[name].public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(datetime.datetime(2001, 1, 1))
                .not_valid_after(datetime.datetime(end, 1, 1)).sign(signing, algorithm))
        return made.public_bytes(serialization.Encoding.PEM).decode()

    return {
        "cert:g": cert("g"), "cert:o": cert("o"), "cert:p256": cert("p256"), "cert:ed": cert("ed"),
        "cert:o:expired": cert("o", end=2002),
        "cert:leaf": cert("o", "leaf", "authority", "h"), "cert:authority": cert("h", "authority"),
    }


if os.path.exists(KEYS):
    stored = json.load(open(KEYS))
else:
    stored = make_keys()
key = {n: serialization.load_pem_private_key(t.encode(), None)
       for n, t in stored.items() if not n.startswith("cert:")}
if "cert:g" not in stored:
    stored.update(certificates(key))
    json.dump(stored, open(KEYS, "w"), indent=1)
cert = {n[5:]: t for n, t in stored.items() if n.startswith("cert:")}


def jwk(name, kid=None, **members):
    """The public JWK as the RFCs want it; `members` replace, None removes."""
    public = key[name].public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        out = {"kty": "RSA", "n": num(numbers.n), "e": num(numbers.e), "alg": "RS256"}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        crv, size, name_alg = {
            "secp256r1": ("P-256", 32, "ES256"), "secp384r1": ("P-384", 48, "ES384"),
            "secp521r1": ("P-521", 66, "ES512"), "secp256k1": ("secp256k1", 32, "ES256K"),
        }[public.curve.name]
        numbers = public.public_numbers()
        out = {"kty": "EC", "crv": crv, "x": num(numbers.x, size), "y": num(numbers.y, size),
               "alg": name_alg}
    else:
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        ed = isinstance(public, ed25519.Ed25519PublicKey)
        out = {"kty": "OKP", "crv": "Ed25519" if ed else "X25519", "x": b64(raw),
               "alg": "EdDSA" if ed else "ECDH-ES"}
    out["use"] = "sig"
    out["kid"] = kid or name
    for member, value in members.items():
        if value is ABSENT:
            out.pop(member, None)
        else:
            out[member.replace("__", "#")] = value
    return out


ABSENT = object()


def private(name, kid=None):
    out = jwk(name, kid)
    numbers = key[name].private_numbers() if name not in ("ed",) else None
    if out["kty"] == "RSA":
        out.update(d=num(numbers.d), p=num(numbers.p), q=num(numbers.q), dp=num(numbers.dmp1),
                   dq=num(numbers.dmq1), qi=num(numbers.iqmp))
    elif out["kty"] == "EC":
        out["d"] = num(numbers.private_value, len(unb64(out["x"])))
    else:
        out["d"] = b64(key[name].private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
            serialization.NoEncryption()))
    return out


def der(pem):
    return "".join(pem.strip().splitlines()[1:-1])


def spki(name):
    return key[name].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def pkcs1(name):
    return key[name].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.PKCS1).decode()


def pkcs8(name):
    return stored[name]


# --- cases --------------------------------------------------------------------------------------

G = jwk("g")
expected = {}


def case(name, document, *, refused=None, convex=None, standard=None, codes=(), keys=None,
         alarms=(), warnings=()):
    """`standard`, else `convex`: kids published, in order; THUMB(x) is the thumbprint of key x.
    `codes` must be among the changes, `warnings` among the warnings; `alarms` are exactly these."""
    if isinstance(document, str):
        document = document.encode()
    if not isinstance(document, bytes):
        document = json.dumps(document, ensure_ascii=False).encode()
    assert name not in expected, name
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(document)
    # Both publish every key but those on secp256k1; `convex` those on Ed25519 without `alg`.
    kids = standard if standard is not None else convex if convex is not None else ["g"]
    entry = {"refused": refused} if refused else {"convex": kids, "standard": kids}
    if not refused:
        # the key material behind each kid, so that a test can sign and verify with it
        entry["keys"] = keys if keys is not None else {k: k for k in entry["standard"]}
    entry["codes"], entry["alarms"], entry["warnings"] = list(codes), list(alarms), list(warnings)
    expected[name] = entry


def thumb(name):
    import hashlib
    members = {k: v for k, v in jwk(name).items() if k in ("kty", "n", "e", "crv", "x", "y")}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(text.encode()).digest())


def sets(*entries):
    return {"keys": list(entries)}


def both(name, odd, **kw):
    """Rows 51 to 134: the odd key beside the good one, in both orders: neither may disturb the other."""
    kw.setdefault("convex", ["g"])
    case(name, sets(odd, G), **kw)


def dropped(name, odd, code, **kw):
    both(name, odd, codes=[code], **kw)


def kept(name, odd, *codes, source="o", kid="o", **kw):
    """The odd key is repaired and stands before the good one."""
    both(name, odd, convex=[kid, "g"], keys={kid: source, "g": "g"}, codes=codes, **kw)


def envelope():
    text = json.dumps(sets(G))
    case("001-set", text)
    case("008-bom", "\ufeff" + text, codes=["bom"])
    case("009-utf16", text.encode("utf-16"), refused="not_utf8")
    case("009b-utf16-no-bom", text.encode("utf-16-le"), refused="not_utf8")
    case("010-gzip", gzip.compress(text.encode(), mtime=0), codes=["gzip"])
    case("010b-gzip-cut", gzip.compress(text.encode(), mtime=0)[:-12], refused="encoding")
    case("010c-gzip-bom", gzip.compress(("\ufeff" + text).encode(), mtime=0), codes=["gzip", "bom"])
    case("011-gzip-bomb", gzip.compress(b" " * 20_000_000, mtime=0), refused="too_large")
    case("013-empty", b"", refused="empty")
    case("013b-blank", b" \r\n\t", refused="empty")
    case("013c-bom-only", b"\xef\xbb\xbf", refused="empty")
    case("014-html", "<!DOCTYPE html>\n<html><body>Sign in</body></html>", refused="html")
    case("014b-xml", "\n <?xml version='1.0'?><Error/>", refused="html")
    case("025-bare-array", [G], codes=["bare_array"])
    case("026-single-jwk", G, codes=["single_jwk"])
    bare = {k: v for k, v in G.items() if k != "kid"}
    case("027-keyed-object", {"keys": {"g": bare}}, codes=["keys_object", "kid_missing"])
    case("027b-keyed-own-kid", {"keys": {"outer": G}}, codes=["keys_object"])
    case("027c-keys-is-a-jwk", {"keys": G}, codes=["single_jwk"])
    case("027d-keyed-with-junk", {"keys": {"g": bare, "x": None, "y": 7}}, codes=["entry"])
    case("027e-keyed-name-twice", '{"keys":{"a":%s,"a":%s,"g":%s}}' % (
        json.dumps(jwk("o")), json.dumps(jwk("h")), json.dumps(bare)), codes=["duplicate_member"])
    case("028-kid-map", {"g": bare}, codes=["kid_map", "kid_missing"])
    case("028b-kid-map-of-two", {"g": bare, "o": {k: v for k, v in jwk("o").items() if k != "kid"}},
         convex=["g", "o"], codes=["kid_map"])
    case("029-x509-map", {"g": cert["g"], "o": cert["o"]}, convex=["g", "o"], codes=["kid_map", "pem"])
    case("029b-x509-map-lost-breaks", {"g": cert["g"].replace("\n", "\\n")}, codes=["pem"])
    case("029c-spki-map", {"g": spki("g")}, codes=["pem"])
    case("029d-x509-chain", {"o": cert["leaf"] + cert["authority"]}, convex=["o"], codes=["pem"])
    case("030-x509-map-with-ec", {"g": cert["g"], "p256": cert["p256"]}, convex=["g", "p256"])
    case("030b-x509-map-with-ed", {"g": cert["g"], "ed": cert["ed"]}, convex=["g"],
         standard=["g", "ed"])
    case("031-x509-map-with-garbage", {
        "a": "-----BEGIN CERTIFICATE-----\nMIIB!!\n-----END CERTIFICATE-----\n", "g": cert["g"],
        "d": cert["o"][:200]}, codes=["pem"])
    case("031c-x509-map-beside-others", {"g": cert["g"], "o": cert["o"], "b": "not PEM", "c": 7},
         refused="ambiguous")
    case("031b-x509-map-with-private", {"a": pkcs8("o"), "g": cert["g"]},
         codes=["private_key_leaked"], alarms=["private_key_leaked"])
    case("032-wrapped-data", {"data": sets(G)}, codes=["wrapped"])
    case("032b-wrapped-jwks", {"jwks": sets(G), "success": True}, codes=["wrapped"])
    case("032c-wrapped-array", {"jwks": [G]}, codes=["wrapped", "bare_array"])
    case("032d-wrapped-twice", {"data": {"jwks": sets(G)}}, codes=["wrapped"])
    case("032e-set-in-array", [sets(G)], codes=["wrapped"])
    case("032f-keys-in-keys", {"keys": sets(G)}, codes=["wrapped"])
    case("032g-lambda-body", {"statusCode": 200, "body": text}, codes=["wrapped", "json_string"])
    case("032h-two-sets", {"a": sets(G), "b": sets(jwk("o"))}, refused="ambiguous")
    case("032i-set-beside-key", {"a": sets(G), "o": jwk("o")}, refused="ambiguous")
    case("032j-jwk-with-keys", dict(G, keys=[jwk("o")]), refused="ambiguous")
    case("032k-wrapped-too-deep", {"data": {"data": {"data": {"data": {"data": sets(G)}}}}},
         refused="no_keys")
    case("033-json-string", json.dumps(text), codes=["json_string"])
    case("033b-json-string-twice", json.dumps(json.dumps(text)), refused="not_object")
    case("033c-keys-as-string", {"keys": json.dumps([G])}, codes=["json_string"])
    case("033d-string-of-junk", '"hello"', refused="not_json")
    case("034-pem-key", spki("g"), convex=[thumb("g")], keys={thumb("g"): "g"}, codes=["pem_text"])
    case("034b-pem-certificates", "subject=/CN=g\n" + cert["g"] + "subject=/CN=o\n" + cert["o"],
         convex=[thumb("g"), thumb("o")], keys={thumb("g"): "g", thumb("o"): "o"})
    case("034c-pem-pkcs1", pkcs1("g"), convex=[thumb("g")], keys={thumb("g"): "g"})
    case("034d-pem-mixed", spki("g") + "junk\n" + spki("p256") + spki("ed"),
         convex=[thumb("g"), thumb("p256")], standard=[thumb("g"), thumb("p256"), thumb("ed")],
         keys={thumb("g"): "g", thumb("p256"): "p256", thumb("ed"): "ed"})
    case("034e-pem-private", pkcs8("g"), refused="no_usable_key")
    case("034f-pem-private-beside", pkcs8("o") + spki("g"), convex=[thumb("g")],
         keys={thumb("g"): "g"}, alarms=["private_key_leaked"])
    case("034g-pem-chain", cert["leaf"] + cert["authority"], convex=[thumb("o")],
         keys={thumb("o"): "o"}, codes=["pem_chain"])
    case("034h-pem-cut", spki("g")[:100], refused="no_usable_key")
    case("034i-pem-string", json.dumps(spki("g")), convex=[thumb("g")], keys={thumb("g"): "g"})
    padded = base64.b64encode(unb64(G["n"])).decode()
    uaa = {"kty": "RSA", "e": "AQAB", "use": "sig", "kid": "g", "alg": "SHA256withRSA",
           "value": spki("g"), "n": padded}
    case("035-uaa", uaa, codes=["single_jwk", "alg_alias", "members_dropped"])
    case("035b-uaa-keys", {"keys": [uaa]}, codes=["alg_alias"])
    case("035c-uaa-old", {"alg": "SHA256withRSA", "value": spki("g")}, convex=[thumb("g")],
         keys={thumb("g"): "g"}, codes=["from_pem", "alg_alias"])
    case("035d-uaa-secret", {"alg": "HMACSHA256", "value": "tokenkey"}, refused="no_usable_key")
    case("035e-uaa-mac", sets({"kty": "MAC", "alg": "HS256", "value": "tokenkey", "kid": "m"}, G),
         codes=["secret_leaked"], alarms=["secret_leaked"])
    case("036-empty-set", {"keys": []}, refused="empty_set")
    case("036b-empty-array", [], refused="empty_set")
    case("036c-empty-map", {"keys": {}}, refused="empty_set")
    case("037-keys-null", {"keys": None}, refused="no_keys")
    case("037b-keys-number", {"keys": 7}, refused="no_keys")
    case("037c-keys-text", {"keys": "soon"}, refused="no_keys")
    case("038-upper-case", {"Keys": [G]}, refused="no_keys")
    case("038b-empty-object", {}, refused="no_keys")
    case("038c-error-object", {"error": "not_found", "message": "no such realm"}, refused="no_keys")
    case("038d-number", "7", refused="not_object")
    case("038e-null", "null", refused="not_object")
    case("039-keys-twice", '{"keys":[%s],"keys":[]}' % json.dumps(G), refused="duplicate_member")
    case("039b-keys-twice-escaped", '{"keys":[%s],"\\u006beys":[]}' % json.dumps(G),
         refused="duplicate_member")
    case("039c-map-name-twice", '{"g":%s,"g":%s}' % (json.dumps(G), json.dumps(jwk("o"))),
         refused="duplicate_member")
    case("040-trailing-comma", '{"keys":[%s,]}' % json.dumps(G), refused="not_json")
    case("041-trailing-garbage", text + "garbage", refused="not_json")
    case("041b-two-documents", text + "\n" + text, refused="not_json")
    case("042-trailing-space", text + "\r\n \t\n", codes=[])
    case("043-comment", "// keys\n" + text, refused="not_json")
    case("044-latin1", b'{"name":"caf\xe9",' + text[1:].encode(), refused="not_utf8")
    case("045-deep", "[" * 10_000, refused="depth")
    case("045b-deep-in-member", '{"x":%s%s,%s' % ("[" * 10_000, "]" * 10_000, text[1:]),
         refused="depth")
    case("024-too-many", {"keys": [{}] * 10_001}, refused="too_many_keys")
    case("024b-many-that-are-none", {"keys": [{"kty": "oct"}] * 150 + [G] * 150},
         codes=["symmetric", "duplicate"])
    case("023-too-large", '{"x":"%s",%s' % ("a" * 600_000, text[1:]), refused="too_large")
    case("045c-not-json", "upstream connect error", refused="not_json")
    case("045d-cut", text[:-5], refused="not_json")
    case("045e-lone-surrogate", '{"x":"\\ud800",' + text[1:])
    case("045f-huge-number", '{"x":1e999,' + text[1:])


def odd_keys():
    o = jwk("o")
    dropped("051-kty-unknown", dict(o, kty="XYZ"), "kty_unknown")
    dropped("052-kty-missing", {k: v for k, v in o.items() if k != "kty"}, "kty_missing")
    dropped("052b-kty-number", dict(o, kty=7), "kty_unknown")
    kept("053-kty-lower", dict(o, kty="rsa"), "kty_case")
    dropped("054-akp", {"kty": "AKP", "alg": "ML-DSA-65", "pub": b64(b"x" * 1952), "kid": "pq",
                        "use": "sig"}, "kty_unknown")
    dropped("054b-akp-private", {"kty": "AKP", "alg": "ML-DSA-65", "pub": b64(b"x" * 1952),
                                 "priv": b64(b"y" * 32)}, "kty_unknown",
            alarms=["private_key_leaked"])
    both("055-es256k", jwk("k256"))
    dropped("056-p-256k", jwk("k256", crv="P-256K"), "crv")
    dropped("056b-bp-256", jwk("p256", crv="BP-256"), "crv")
    dropped("056c-crv-number", jwk("p256", crv=256), "crv")
    kept("056d-crv-alias", jwk("p256", crv="secp256r1"), "crv_alias", source="p256", kid="p256")
    both("057-es512", jwk("p521"), standard=["p521", "g"])
    both("057b-es384", jwk("p384"), standard=["p384", "g"])
    dropped("058-x25519", jwk("x25519", use="enc"), "not_signature")
    dropped("058b-x25519-sig", jwk("x25519", alg="EdDSA"), "not_signature")
    dropped("059-ed448", jwk("ed", crv="Ed448", x=b64(b"z" * 57)), "crv")
    both("060-eddsa", jwk("ed"), standard=["ed", "g"])
    dropped("060b-okp-zero", jwk("ed", x=b64(bytes(32))), "okp_point")
    dropped("060c-okp-short", jwk("ed", x=b64(bytes(31))), "okp_length")
    both("061-ed25519-name", jwk("ed", alg="Ed25519"), standard=["ed", "g"], codes=["alg_alias"])
    both("062-okp-no-alg", jwk("ed", alg=ABSENT), standard=["ed", "g"], codes=["alg_missing"])
    dropped("063-rsa-oaep", jwk("o", alg="RSA-OAEP", use="enc"), "not_signature")
    dropped("064-rsa-oaep-512", jwk("o", alg="RSA-OAEP-512", use="enc"), "not_signature")
    dropped("064b-rsa-oaep-no-use", jwk("o", alg="RSA-OAEP-256", use=ABSENT), "not_signature")
    kept("065-alg-lower", dict(o, alg="rs256"), "alg_alias")
    kept("066-alg-empty", dict(o, alg=""), "alg_missing")
    kept("066b-alg-null", dict(o, alg=None), "alg_missing")
    kept("066c-alg-absent", jwk("o", alg=ABSENT), "alg_missing")
    for i, alias in enumerate(("RSA", "RSA256", "SHA256withRSA", "RSA-SHA256")):
        kept("067%s-alg-alias" % "abcd"[i], dict(o, alg=alias), "alg_alias")
    both("067e-ps256", dict(o, alg="PS256"), standard=["o", "g"])
    dropped("068-alg-number", dict(o, alg=7), "alg_type")
    dropped("068b-alg-array", dict(o, alg=["RS256"]), "alg_type")
    dropped("069-alg-hs256", dict(o, alg="HS256"), "alg_family")
    dropped("069b-alg-none", dict(o, alg="none"), "alg_unknown")
    dropped("069c-alg-other-family", dict(o, alg="ES256"), "alg_family")
    dropped("070-p256-es384", jwk("p256", alg="ES384"), "alg_curve")
    dropped("071-p384-es256", jwk("p384", alg="ES256"), "alg_curve")
    kept("072-kid-number", dict(o, kid=7), "kid_number", kid="7")
    kept("073-kid-null", dict(o, kid=None), "kid_missing", kid=thumb("o"))
    kept("073b-kid-absent", {k: v for k, v in o.items() if k != "kid"}, "kid_missing",
         kid=thumb("o"))
    kept("074-kid-empty", dict(o, kid=""), "kid_empty", kid=thumb("o"))
    dropped("075-kid-array", dict(o, kid=["a"]), "kid_type")
    dropped("075b-kid-object", dict(o, kid={}), "kid_type")
    dropped("075c-kid-fraction", dict(o, kid=1.5), "kid_type")
    dropped("075d-kid-boolean", dict(o, kid=True), "kid_type")
    dropped("076-same-key-twice", jwk("g"), "duplicate")
    dropped("076b-same-key-without-kid", {k: v for k, v in G.items() if k != "kid"}, "duplicate")
    case("076c-same-key-two-kids", sets(jwk("g", kid="a"), jwk("g", kid="b")), convex=["a", "b"],
         keys={"a": "g", "b": "g"})
    dropped("077-same-kid-enc", jwk("o", kid="g", use="enc", alg="RSA-OAEP"), "not_signature")
    both("078-same-kid-other-key", jwk("o", kid="g"), convex=[thumb("o"), thumb("g")],
         keys={thumb("o"): "o", thumb("g"): "g"}, warnings=["duplicate_kid"])
    both("078b-kid-is-another-thumbprint", jwk("o", kid=thumb("g")), convex=[thumb("o"), "g"],
         keys={thumb("o"): "o", "g": "g"})
    for i, kid in enumerate(("a/b+c=", "ключ", "🔑", "a b\"c\\d", "<script>")):
        kept("079%s-kid-text" % "abcde"[i], dict(o, kid=kid), kid=kid)
    kept("080-kid-long", dict(o, kid="k" * 5000), "kid_long", kid=thumb("o"))
    kept("081-kid-newline", dict(o, kid="a\nb"), "kid_chars", kid=thumb("o"))
    kept("081b-kid-nul", dict(o, kid="a\x00b"), "kid_chars", kid=thumb("o"))
    for i, text in enumerate(("signature", "sign", "SIG")):
        kept("082%s-use-alias" % "abc"[i], dict(o, use=text), "use_alias")
    kept("083-use-null", dict(o, use=None), "use_missing")
    kept("083b-use-absent", jwk("o", use=ABSENT), "use_missing")
    kept("083c-use-empty", dict(o, use=""), "use_missing")
    kept("084-use-list", dict(o, use=["sig"]), "use_type")
    dropped("084b-use-list-enc", dict(o, use=["enc"]), "not_signature")
    dropped("085-use-enc", dict(o, use="enc"), "not_signature")
    dropped("086-use-tls", dict(o, use="tls"), "use_unknown")
    dropped("086b-use-number", dict(o, use=1), "use_unknown")
    kept("087-key-ops-string", dict(o, key_ops="verify"), "members_dropped")
    kept("088-key-ops-sign", dict(o, key_ops=["sign"]), warnings=["key_ops_sign"])
    dropped("089-key-ops-encrypt", jwk("o", use=ABSENT, key_ops=["encrypt"]), "not_signature")
    kept("090-key-ops-twice", dict(o, key_ops=["verify", "verify"]), "members_dropped")
    kept("090b-key-ops-odd", dict(o, key_ops={"verify": True}), "members_dropped")
    n = o["n"]
    kept("091-n-padded", dict(o, n=n + "=="), "b64_padding")
    dropped("092-n-commas", dict(o, n=n + ",,"), "b64")
    raw = unb64(n)
    std = base64.b64encode(raw).decode()
    assert "+" in std or "/" in std
    kept("093-n-standard", dict(o, n=std.rstrip("=")), "b64_standard")
    kept("093b-n-standard-padded", dict(o, n=std), "b64_standard", "b64_padding")
    mixed = n.replace("-", "+", 1) if "-" in n else n
    assert "+" in mixed and ("_" in mixed or "-" in mixed)
    dropped("094-n-mixed", dict(o, n=mixed), "b64")
    kept("095-n-lines", dict(o, n="\r\n".join(n[i:i + 64] for i in range(0, len(n), 64))),
         "b64_whitespace")
    dropped("096-n-hex", dict(o, n=raw.hex()), "n_hex")
    dropped("096b-n-hex-upper", dict(o, n=raw.hex().upper()), "n_hex")
    kept("097-n-leading-zero", dict(o, n=b64(b"\0" + raw)), "leading_zero")
    dropped("098a-n-empty", dict(o, n=""), "rsa_invalid")
    dropped("098b-e-empty", dict(o, e=""), "rsa_invalid")
    dropped("098c-n-even", dict(o, n=b64(raw[:-1] + bytes([raw[-1] & 0xfe]))), "rsa_invalid")
    dropped("098d-n-zero", dict(o, n=b64(bytes(256))), "rsa_invalid")
    dropped("099-n-missing", jwk("o", n=ABSENT), "n_missing")
    dropped("099b-n-null", jwk("o", n=None), "n_missing")
    dropped("099c-n-number", jwk("o", n=123), "type")
    dropped("099d-e-missing", jwk("o", e=ABSENT), "e_missing")
    kept("100-e-integer", dict(o, e=65537), "e_integer")
    dropped("100b-e-negative", dict(o, e=-3), "e_range")
    dropped("100c-e-fraction", dict(o, e=65537.5), "e_range")
    dropped("101-e-decimal-text", dict(o, e="65537"), "e_range")
    dropped("101b-e-hex-text", dict(o, e="010001"), "e_range")
    kept("102-e-leading-zero", dict(o, e="AAEAAQ"), "leading_zero")
    kept("103-e-padded", dict(o, e="AQAB="), "b64_padding")
    kept("103b-e-padded-twice", dict(o, e="AQAB=="), "b64_padding")
    dropped("104-e-one", dict(o, e="AQ"), "rsa_invalid")
    dropped("104b-e-even", dict(o, e="Ag"), "rsa_invalid")
    dropped("104c-e-huge", dict(o, e=b64(b"\x01" + bytes(7) + b"\x01")), "e_range")
    kept("105-e-three", jwk("rsa3", kid="o"), source="rsa3", warnings=["e_unusual"])
    dropped("106-rsa-1024", jwk("rsa1024"), "rsa_small")
    dropped("107-rsa-2047", jwk("rsa2047"), "rsa_small")
    kept("108-rsa-8192", jwk("rsa8192", kid="o"), source="rsa8192")
    dropped("109-rsa-16384", dict(o, n=b64(b"\xc3" + b"\x5b" * 2046 + b"\x01")),
            "rsa_large")
    short = jwk("p256short")
    kept("110-x-short", dict(short, x=b64(unb64(short["x"])[1:])), "ec_short",
         source="p256short", kid="p256short")
    p = jwk("p256")
    kept("111-x-long", dict(p, x=b64(b"\0" + unb64(p["x"]))), "ec_long", source="p256", kid="p256")
    point = b"\x04" + unb64(p["x"]) + unb64(p["y"])
    dropped("112-x-is-point", {k: v for k, v in dict(p, x=b64(point)).items() if k != "y"},
            "ec_length")
    dropped("112b-x-33-bytes", dict(p, x=b64(b"\x02" + unb64(p["x"]))), "ec_length")
    dropped("113-off-curve", dict(p, y=b64(bytes([unb64(p["y"])[0] ^ 1]) + unb64(p["y"])[1:])),
            "ec_point")
    dropped("113b-zero-point", dict(p, x=b64(bytes(32)), y=b64(bytes(32))), "ec_point")
    dropped("114-y-missing", {k: v for k, v in p.items() if k != "y"}, "y_missing")
    dropped("114b-x-missing", {k: v for k, v in p.items() if k != "x"}, "x_missing")
    dropped("114c-crv-missing", {k: v for k, v in p.items() if k != "crv"}, "crv_missing")
    kept("115-x-padded", dict(p, x=p["x"] + "="), "b64_padding", source="p256", kid="p256")
    leaf = der(cert["o"])
    kept("116-x5c-only", {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "o", "x5c": [leaf]},
         "from_x5c")
    kept("116b-x5c-only-no-kid", {"kty": "RSA", "x5c": [leaf]}, "from_x5c", kid=thumb("o"))
    kept("116c-x5c-only-no-kty", {"kid": "o", "x5c": [leaf]}, "from_x5c")
    kept("116d-x5c-only-ec", {"kty": "EC", "kid": "p256", "x5c": [der(cert["p256"])]}, "from_x5c",
         source="p256", kid="p256")
    kept("116e-x5c-only-pem", {"kty": "RSA", "kid": "o", "x5c": [cert["o"]]}, "from_x5c")
    kept("116f-x5c-only-spki", {"kty": "RSA", "kid": "o", "x5c": [der(spki("o"))]}, "from_x5c")
    dropped("116g-x5c-only-other-kty", {"kty": "EC", "kid": "o", "x5c": [leaf]}, "x5c_mismatch")
    dropped("116h-x5c-only-garbage", {"kty": "RSA", "kid": "o", "x5c": ["MIIB"]}, "n_missing")
    kept("117-x5c-expired", {"kty": "RSA", "kid": "o", "x5c": [der(cert["o:expired"])]},
         "from_x5c", warnings=["cert_expired"])
    kept("118-x5c-mismatch", dict(o, x5c=[der(cert["g"])]), warnings=["x5c_mismatch"])
    kept("119-x5c-pem", dict(o, x5c=[cert["o"]]), "members_dropped")
    kept("119b-x5c-lines", dict(o, x5c=[leaf[:64] + "\n" + leaf[64:]]), "members_dropped")
    for i, value in enumerate((leaf, None, [], ["garbage"], 7, [7], {})):
        kept("120%s-x5c-odd" % "abcdefg"[i], dict(o, x5c=value), "members_dropped")
    kept("121-x5t-hex", dict(o, x5t="00:11:22"), "members_dropped")
    kept("121b-x5t-null", dict(o, x5t=None), "members_dropped")
    kept("122-x5t-s256", jwk("o", x5t__S256="wrong"), "members_dropped")
    full = private("o")
    kept("123-d-only", dict(o, d=full["d"]), "private_key_leaked", alarms=["private_key_leaked"])
    kept("124-private-key", full, "private_key_leaked", alarms=["private_key_leaked"])
    kept("125-ec-private", private("p256"), "private_key_leaked", source="p256", kid="p256",
         alarms=["private_key_leaked"])
    both("125b-okp-private", private("ed"), standard=["ed", "g"], alarms=["private_key_leaked"])
    dropped("125c-private-and-broken", dict(full, n=""), "rsa_invalid",
            alarms=["private_key_leaked"])
    dropped("126-oct", {"kty": "oct", "k": b64(b"secret" * 8), "kid": "s", "alg": "HS256"},
            "secret_leaked", alarms=["secret_leaked"])
    dropped("126b-oct-upper", {"kty": "OCT", "k": b64(b"secret" * 8)}, "secret_leaked",
            alarms=["secret_leaked"])
    dropped("126c-oct-no-kty", {"k": b64(b"secret" * 8), "alg": "HS256"}, "secret_leaked",
            alarms=["secret_leaked"])
    dropped("127-oct-without-k", {"kty": "oct", "kid": "s"}, "symmetric")
    for i, value in enumerate((None, "x", [], {}, 7, True)):
        dropped("128%s-entry" % "abcdef"[i], value, "entry")
    twice = json.dumps(o)[:-1] + ',"n":"%s"}' % jwk("h")["n"]
    case("129-n-twice", '{"keys":[%s,%s]}' % (twice, json.dumps(G)), codes=["duplicate_member"])
    twice = json.dumps(full)[:-1] + ',"n":"AQAB"}'
    case("129b-n-twice-private", '{"keys":[%s,%s]}' % (twice, json.dumps(G)),
         codes=["duplicate_member"], alarms=["private_key_leaked"])
    case("129c-twice-in-unknown", '{"keys":[%s,%s]}' % (
        json.dumps(o)[:-1] + ',"ext":{"a":1,"a":2}}', json.dumps(G)), convex=["o", "g"])
    dropped("130-oth", dict(o, oth="x"), "multi_prime", alarms=["private_key_leaked"])
    kept("131-extras", dict(o, exp=4102444800, nbf=1, ext=True, issuer="x", iat=1),
         "members_dropped")
    dropped("131b-exp-past", dict(o, exp=1000000000), "expired")
    dropped("131c-revoked", dict(o, revoked={"revoked_at": 1}), "revoked")
    kept("131d-not-revoked", dict(o, revoked=False), "members_dropped")
    case("134-all-drop", sets(dict(o, kty="XYZ"), {"kty": "oct", "k": "c2VjcmV0"}),
         refused="no_usable_key")
    case("135-own-form", sets(*(dict(kty=k["kty"], n=k["n"], e=k["e"], kid=k["kid"], alg=k["alg"],
                                     use="sig") for k in (G, o))), convex=["g", "o"])


# RFC 4055: id-RSASSA-PSS without parameters; made once, as its signature would move.
def pss_certificate():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pss")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key["o"].public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime(2001, 1, 1))
            .not_valid_after(datetime.datetime(2124, 1, 1)).sign(key["o"], hashes.SHA256()))
    body = made.public_bytes(serialization.Encoding.DER)
    # rsaEncryption with its NULL, 13 bytes, becomes id-RSASSA-PSS, 11; the lengths around shrink.
    old = bytes.fromhex("300d06092a864886f70d0101010500")
    new = bytes.fromhex("300b06092a864886f70d01010a")
    at = body.index(old)
    body = body[:at] + new + body[at + len(old):]
    for start in (0, 4, at - 4):
        assert body[start:start + 2] == b"\x30\x82"
        size = int.from_bytes(body[start + 2:start + 4], "big") - 2
        body = body[:start + 2] + size.to_bytes(2, "big") + body[start + 4:]
    lines = base64.b64encode(body).decode()
    lines = [lines[i:i + 64] for i in range(0, len(lines), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


if "cert:pss" not in stored:
    stored["cert:pss"] = cert["pss"] = pss_certificate()
    json.dump(stored, open(KEYS, "w"), indent=1)


def pss_key():
    body = base64.b64decode(der(spki("o")))
    old = bytes.fromhex("300d06092a864886f70d0101010500")
    body = body.replace(old, bytes.fromhex("300b06092a864886f70d01010a"))
    return base64.b64encode(body[:2] + (len(body) - 4).to_bytes(2, "big") + body[4:]).decode()


def documents():
    """What stands in the place of a set in public reports."""
    o, one = jwk("o"), {thumb("g"): "g"}
    text = json.dumps(sets(G))
    svid = {k: v for k, v in o.items() if k != "alg"}
    case("200-spiffe", {"keys": [dict(svid, use="jwt-svid"), dict(jwk("h"), use="x509-svid"),
                                 dict(jwk("p256"), use="wit-svid"),
                                 dict(jwk("p384"), use=["sig", "x509-svid"])],
                        "spiffe_sequence": 1, "spiffe_refresh_hint": 2},
         convex=["o"], codes=["use_alias", "not_signature"])
    case("201-alg-and-pem", {"alg": "RS256", "pem": spki("g")}, convex=[thumb("g")], keys=one,
         codes=["single_pem"])
    case("201b-public_key", {"public_key": spki("g")}, convex=[thumb("g")], keys=one,
         codes=["single_pem"])
    case("201c-status-beside", {"status": "ok", "public_key": spki("g")}, convex=[thumb("g")],
         keys=one, codes=["single_pem"])
    case("201d-kid-beside", {"kid": "2025-01", "alg": "RS512", "publicKey": spki("g")},
         convex=["2025-01"], keys={"2025-01": "g"}, codes=["single_pem"])
    case("201e-certificate-and-key", {"certificate": cert["g"], "public_key": spki("g")},
         convex=[thumb("g")], keys=one, codes=["single_pem"])
    case("201f-two-keys-two-roles", {"certificate": cert["o"], "public_key": spki("g")},
         refused="ambiguous")
    case("201g-wrapped", {"data": {"public_key": spki("g")}}, convex=[thumb("g")], keys=one)
    case("201h-current-previous", {"current": spki("g"), "previous": spki("o")},
         convex=["current", "previous"], keys={"current": "g", "previous": "o"}, codes=["kid_map"])
    case("201i-secret-alg", {"alg": "HS256", "public_key": spki("g")}, refused="no_usable_key")
    case("201j-jwk-beside-others", {"id": "did:web:a.example", "publicKeyJwk": G},
         codes=["single_jwk"])
    case("201k-jwks-beside-others", {"a": G, "o": o, "status": "ok"}, refused="ambiguous")
    case("202-public-keys-map", {"publicKeys": {"a1": spki("g"), "b2": spki("o")}},
         convex=["a1", "b2"], keys={"a1": "g", "b2": "o"}, codes=["wrapped", "kid_map"])
    case("203-php-indexes", {"keys": {"0": jwk("g", kid=None, alg=ABSENT), "2": dict(o, kid=None)}},
         convex=["g", thumb("o")], keys={"g": "g", thumb("o"): "o"}, codes=["keys_object"])
    case("203b-index-of-pem", {"0": spki("g"), "1": spki("o")}, convex=[thumb("g"), thumb("o")],
         keys={thumb("g"): "g", thumb("o"): "o"}, codes=["kid_map"])
    case("204-one-kid-three-algs", sets(*(jwk("g", alg=a) for a in ("RS512", "RS384", "RS256"))))
    case("204b-one-kid-rs-and-ps", sets(jwk("g", alg="PS256"), jwk("g")))
    case("204c-one-kid-without-rs256", sets(jwk("g", alg="PS512"), jwk("g", alg="RS384")))
    kept("205-blank-private", dict(o, d="", p="", q="", oth=[]), "members_dropped")
    kept("205b-blank-k", dict(o, k=""), "members_dropped")
    dropped("205c-blank-secret", {"kty": "oct", "k": "", "kid": "s"}, "symmetric")
    kept("206-pss-x5c", dict(o, alg=None, x5c=[der(cert["pss"])]), "alg_missing")
    kept("206b-pss-x5c-is-a-key", dict(o, alg=None, x5c=[pss_key()]), "alg_missing")
    kept("207-exp-zero", dict(o, exp=0), "members_dropped")
    kept("207b-exp-minus", dict(o, exp=-1), "members_dropped")
    for i, value in enumerate(("false", "", 0, "no", None)):
        kept("208%s-revoked-no" % "abcde"[i], dict(o, revoked=value), "members_dropped")
    for i, value in enumerate(("true", "2024-01-01", 1, True, [])):
        dropped("208%s-revoked" % "klmno"[i], dict(o, revoked=value), "revoked")
    case("209-signed-set", "eyJhbGciOiJSUzI1NiJ9." + b64(text.encode()) + "." + b64(b"s" * 256),
         refused="not_json")
    case("209b-signed-set-quoted", json.dumps("eyJhbGciOiJSUzI1NiJ9." + b64(text.encode()) + ".c2ln"),
         refused="not_json")
    case("209c-ssh", key["g"].public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) + b" a@b\n",
        refused="not_json")
    case("209d-base64", der(spki("g")), refused="not_json")
    case("210-discovery", {"issuer": "https://a.example", "jwks_uri": "https://a.example/jwks"},
         refused="no_keys")
    case("210b-discovery-in-list", [{"issuer": "https://a.example",
                                     "jwks_uri": "https://a.example/jwks"}], refused="no_keys")
    case("210c-did", {"@context": ["https://www.w3.org/ns/did/v1"], "id": "did:web:a.example",
                      "verificationMethod": [{"id": "#1", "publicKeyJwk": G}]}, refused="no_keys")
    case("210d-realm", {"realm": "main", "public_key": der(spki("g"))}, refused="no_keys")
    case("211-entity-statement", {
        "iss": "https://a.example", "sub": "https://a.example", "jwks": sets(G),
        "metadata": {"openid_provider": {"jwks": sets(o)}}}, refused="ambiguous")
    case("211b-provider-with-jwks", {"issuer": "https://a.example", "jwks": sets(G)},
         codes=["wrapped"])


for name in os.listdir(OUT):
    os.remove(os.path.join(OUT, name))
envelope()
odd_keys()
documents()
with open(os.path.join(HERE, "expected.json"), "w") as f:
    json.dump(expected, f, indent=1, ensure_ascii=False, sort_keys=True)
    f.write("\n")
print(len(expected), "cases", file=sys.stderr)
