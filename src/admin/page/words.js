
// ---- codes in words; the page shows the code too, so that it can be looked up
const CHANGES = {
  bare_array: "The document is a bare list of keys.", single_jwk: "The document is a single key.",
  keys_object: "`keys` is an object, not a list.", kid_map: "The document maps each kid to its key.",
  single_pem: "The document holds one key as PEM text.", wrapped: "The set was inside another object.",
  json_string: "The document is a JSON string that holds JSON.", pem_text: "The document is PEM text.",
  gzip: "It is compressed without saying so.", bom: "It begins with a byte order mark.",
  content_type: "The media type is not that of a key set.",
  kty_case: "`kty` was spelled another way.", alg_alias: "`alg` had another name.",
  use_alias: "`use` had another name.", use_type: "`use` had the wrong type.", crv_alias: "`crv` had another name.",
  alg_missing: "`alg` was missing.", use_missing: "`use` was missing.", kid_missing: "`kid` was missing.",
  kid_number: "`kid` was a number.", kid_empty: "`kid` was empty.", kid_long: "`kid` was too long for some verifiers.",
  kid_chars: "`kid` held characters that some verifiers refuse.",
  duplicate_kid: "Two keys had this kid.", kid_reused: "Another key had this kid before.",
  kid_is_thumbprint: "The kid is the thumbprint of another key.",
  b64_padding: "Padding was removed.", b64_standard: "It was base64, not base64url.",
  b64_whitespace: "White space was removed.", b64_bits: "The last base64url character had stray bits.",
  leading_zero: "Leading zero bytes were removed.", e_integer: "The exponent was a number, not base64url.",
  ec_short: "A coordinate was too short.", ec_long: "A coordinate was too long.",
  from_x5c: "The key was taken from its certificate.", from_pem: "The key was taken from its PEM text.",
  pem: "The key was PEM text.", members_dropped: "Members that a set does not need were removed.",
  private_key_leaked: "The private part was removed. It is public at the issuer.",
  secret_leaked: "A symmetric secret is published here.",
  entry: "This is not a key.", duplicate_member: "A member occurs twice.", duplicate: "The same key is in the set already.",
  kty_missing: "`kty` is missing.", kty_unknown: "`kty` is not RSA, EC or OKP.", crv: "The curve is not one for signatures.",
  crv_missing: "`crv` is missing.", symmetric: "This is a symmetric key. It never belongs in a key set.",
  not_signature: "The key is not for signatures.", use_unknown: "`use` is neither `sig` nor `enc`.",
  alg_type: "`alg` is not a string.", alg_unknown: "`alg` is not a signature algorithm.",
  alg_family: "`alg` belongs to another kind of key.", alg_curve: "`alg` belongs to another curve.",
  kid_type: "`kid` is neither a string nor a whole number.", type: "A member has the wrong JSON type.",
  b64: "The text has more than one reading as base64url.", n_hex: "The modulus is hexadecimal text.",
  e_range: "The RSA exponent is out of range.", n_missing: "`n` is missing.", e_missing: "`e` is missing.",
  x_missing: "`x` is missing.", y_missing: "`y` is missing.", rsa_invalid: "This is not a sound RSA key.",
  rsa_small: "The RSA key is too short: 2048 bits are needed.", rsa_large: "The RSA key is too long: 8192 bits are the limit.",
  rsa_roca: "The RSA key can be factored (ROCA, CVE-2017-15361).", multi_prime: "The RSA key has more than two primes.",
  ec_length: "A coordinate does not have the length of its curve.", ec_point: "The point does not lie on its curve.",
  okp_length: "An Ed25519 key has 32 bytes, this one has not.", okp_point: "The bytes are not an Ed25519 key.",
  x5c_mismatch: "The certificate contains another kind of key.", pem_chain: "This certificate is the CA certificate of another one.",
  revoked: "The issuer marks the key as revoked.", expired: "The issuer marks the key as expired.",
  alg_left_out: "Shown without `alg`, which gets in the verifier's way.",
  alg_repeated: "The key was there with several `alg`s; the one the verifier accepts is shown.",
  cert_expired: "Its certificate has expired.", key_ops_sign: "`key_ops` says that it signs.",
  key_ops_conflict: "`key_ops` and `use` disagree.", e_unusual: "The exponent is unusual.",
};
const REFUSALS = {
  too_large: "The token is too large.", format: "This is not a signed token of three parts.",
  b64: "A part of the token is not base64url.", header: "The header is not a JSON object.",
  payload: "The payload is not a JSON object.", duplicate_member: "A member occurs twice.",
  depth: "Its JSON is nested too deeply.", surrogate: "Its text is broken (half a surrogate pair).",
  number: "A number in it cannot be read by verifiers.", crit: "`crit` requires an extension that is not supported.",
  b64_false: "`b64: false` is not allowed in a JWT.", nested: "The token is encrypted, or contains another token.",
  alg: "The algorithm is not one of this issuer's.", typ: "This is another kind of token.",
  kid_unknown: "No key of the issuer has the token's kid.", kid_ambiguous: "Several keys have the token's kid.",
  too_many_keys: "Too many keys would have to be tried.", sig_format: "The ECDSA signature is in DER.",
  signature: "The signature is not by a key of the issuer.", inactive: "The auth server says it is not active.",
  header_mismatch: "A header parameter is not as configured.", iss_missing: "`iss` is missing.",
  iss: "`iss` is not the issuer's.", issuer_unknown: "No issuer is configured for its `iss`.",
  tenant: "The tenant may not log in.", key_issuer: "The key is another issuer's.", exp_missing: "`exp` is missing.",
  exp_type: "A time is not a number.", exp_range: "A time is out of range. Is it in milliseconds?",
  expired: "The token has expired.", nbf: "The token is not valid yet.", iat_future: "`iat` lies in the future.",
  aud_missing: "`aud` is missing.", aud_type: "`aud` is neither a string nor a list.", aud: "`aud` is not one of those accepted.",
  aud_asked: "The requested audience is not one of the token's, or is not accepted.", client: "Its client is not one of those accepted.",
  sub_missing: "`sub` is missing.", sub_type: "`sub` is neither a string nor a number.",
  hash: "A hash in it does not match the access token, code or `state` in the same response.", sender_constrained: "The token is bound to a key of its sender.",
  signing: "The new token could not be signed.", issuer_keys_unavailable: "The issuer's keys have not been read.",
  introspection_refused: "The auth server refuses our client_id or client_secret.",
  overloaded: "Too many tokens waited.", internal: "The proxy was stopping.",
};
const FETCHES = {
  ok: "read", not_modified: "unchanged", status: "answered with an error", timeout: "no answer in time",
  connect: "no connection", dns: "name not found", tls: "TLS failed", broken: "broke off", empty: "empty answer",
};
const OUTCOMES = { countersigned: "countersigned", as_it_stands: "passed unchanged", refused: "refused" };
const ORIGINS = { own: "ours", issuer: "the issuer's" };
const RING = { next: "waits", active: "signs", retired: "retired" };
const said = (table, code) => Object.hasOwn(table, code) ? table[code] : words(code);
const listed = (all) => all.length < 2 ? all.join("") : all.slice(0, -1).join(", ") + " and " + all[all.length - 1];
/** The name of the verifier that reads the set. */
const verifier = (s) => s.profile.name === "convex" ? "Convex" : "a verifier of the profile `" + s.profile.name + "`";
function sentence(s, change) {
  if (change.code !== "alg_profile") return said(CHANGES, change.code);
  const who = verifier(s), all = listed(s.profile.publish);
  return who.replace(/^a /, "A ") + " reads " + all + " only. This key verifies tokens; it is not shown to " + who + " (`" + change.before + "`).";
}
/** Makes code elements of the parts of a text in backticks. */
const prose = (text) => text.split("`").map((part, n) => n % 2 ? el("code", {}, part) : part);
