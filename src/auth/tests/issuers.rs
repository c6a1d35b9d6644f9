//! Keys of an identity provider: which are taken, and whose token each of them lets in.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaSigningAlgorithm,
};

use super::*;

fn open(text: &str) -> Result<IssuerKeys, KeyFault> {
    let (_folder, path) = key_file(text);
    IssuerKeys::open(&path).map_err(|error| {
        assert_eq!(error.path, path);
        error.fault
    })
}

#[test]
fn each_kind_of_key_lets_in_what_it_signed() {
    for (alg, kid, pem) in [
        ("RS256", "rsa", PROVIDER.rsa_pem()),
        ("ES256", "ec", PROVIDER.ec_pem()),
        ("EdDSA", "ed", PROVIDER.ed_pem()),
    ] {
        let token = PROVIDER.token(alg, Some(kid), &claims(json!({})));
        assert_eq!(with_keys(&PROVIDER.jwks()).verify(&token, NOW).unwrap().user.as_str(), "anna", "{alg}");
        assert!(
            with_keys(&pem).verify(&token, NOW).is_ok(),
            "{alg}: a key without a name contradicts no kid"
        );
        assert!(with_keys(&pem).verify(&PROVIDER.token(alg, None, &claims(json!({}))), NOW).is_ok(), "{alg}");
        assert_eq!(alone().verify(&token, NOW), Err(Refusal::Key), "{alg}: nobody here has that key");
    }
}

#[test]
fn the_daemons_own_tokens_are_good_beside_an_issuers() {
    let claims = Claims {
        user: "anna".parse().unwrap(),
        scopes: Scopes::VIEWER,
        audience: AUDIENCE.to_owned(),
        issued: NOW,
        expires: NOW + 60,
        id: Claims::random_id().unwrap(),
        max_streams: Some(1),
        max_rate: None,
    };
    let token = OwnKey::new(&SECRET).mint(&claims);
    for verifier in [alone(), with_keys(&PROVIDER.jwks()), with_keys(&PROVIDER.rsa_pem())] {
        let identity = verifier.verify(&token, NOW).unwrap();
        assert_eq!((identity.scopes, identity.token), (Scopes::VIEWER, claims.token_id()));
    }
}

#[test]
fn a_token_without_a_kid_is_taken_only_where_one_key_could_be_meant() {
    let token = PROVIDER.token("ES256", None, &claims(json!({})));
    assert_eq!(with_keys(&PROVIDER.jwks()).verify(&token, NOW), Err(Refusal::Key));
    let one = json!({"keys": [PROVIDER.ec_jwk()]}).to_string();
    assert!(with_keys(&one).verify(&token, NOW).is_ok());
    let other = PROVIDER.token("ES256", Some("rsa"), &claims(json!({})));
    assert_eq!(with_keys(&one).verify(&other, NOW), Err(Refusal::Key));
}

#[test]
fn a_public_key_is_no_secret() {
    let (pem, jwks) = (PROVIDER.rsa_pem(), PROVIDER.jwks());
    let der = PROVIDER.rsa.public_key().as_ref();
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), der] {
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"rsa"}"#] {
            let token = hmac(secret, Algorithm::HS256, header, claims(json!({})));
            assert_eq!(with_keys(&pem).verify(&token, NOW), Err(Refusal::Algorithm), "{header}");
        }
        let header = r#"{"alg":"HS256","kid":"rsa"}"#;
        let token = hmac(secret, Algorithm::HS256, header, claims(json!({})));
        assert_eq!(with_keys(&jwks).verify(&token, NOW), Err(Refusal::Algorithm));
        let header = r#"{"alg":"HS256","kid":"afflux"}"#;
        let token = hmac(secret, Algorithm::HS256, header, claims(json!({})));
        assert_eq!(with_keys(&jwks).verify(&token, NOW), Err(Refusal::Signature));
    }
}

#[test]
fn an_issuer_cannot_speak_for_another_key() {
    let verifier = with_keys(&PROVIDER.jwks());
    for (alg, kid, refusal) in [
        ("ES256", "rsa", Refusal::Algorithm),
        ("EdDSA", "ec", Refusal::Algorithm),
        ("RS256", "afflux", Refusal::Algorithm),
        ("RS256", "RSA", Refusal::Key),
        ("RS256", "../rsa", Refusal::Key),
        ("RS256", "", Refusal::Key),
    ] {
        let token = PROVIDER.token(alg, Some(kid), &claims(json!({})));
        assert_eq!(verifier.verify(&token, NOW), Err(refusal), "{alg} {kid}");
    }
    // A second provider, whose keys aren't in the file, under the names of those that are.
    let stranger = Provider {
        rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        ed: Ed25519KeyPair::generate().unwrap(),
    };
    for (alg, kid) in [("RS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        let token = stranger.token(alg, Some(kid), &claims(json!({})));
        assert_eq!(verifier.verify(&token, NOW), Err(Refusal::Signature), "{alg}");
    }
}

#[test]
fn curve_signatures_that_are_none() {
    let verifier = with_keys(&PROVIDER.jwks());
    let header = b64(r#"{"alg":"ES256","kid":"ec"}"#);
    let message = format!("{header}.{}", b64(claims(json!({}))));
    let random = SystemRandom::new();
    let fixed = PROVIDER.sign("ES256", message.as_bytes());
    let order = order();
    let beyond: Vec<u8> = fixed[..32].iter().chain(&order).copied().collect();
    let mut der = vec![0x30, 68, 2, 32];
    der.extend_from_slice(&fixed[..32]);
    der.extend_from_slice(&[2, 32]);
    der.extend_from_slice(&fixed[32..]);
    let longer = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let longer = longer.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec();
    let swapped = [&fixed[32..], &fixed[..32]].concat();
    for (what, signature) in [
        ("nothing", vec![]),
        ("0/0", vec![0; 64]),
        ("r/0", [&fixed[..32], &[0; 32]].concat()),
        ("0/s", [&[0; 32], &fixed[32..]].concat()),
        ("s is the order", beyond),
        ("order/order", [order, order].concat()),
        ("ones", vec![0xff; 64]),
        ("DER", der),
        ("a byte less", fixed[..63].to_vec()),
        ("a byte more", [&fixed[..], &[0]].concat()),
        ("a longer curve", longer),
        ("swapped", swapped),
    ] {
        let token = format!("{message}.{}", b64(signature));
        assert_eq!(verifier.verify(&token, NOW), Err(Refusal::Signature), "{what}");
    }
    for alg in ["RS256", "EdDSA"] {
        let kid = if alg == "RS256" { "rsa" } else { "ed" };
        let token = PROVIDER.token(alg, Some(kid), &claims(json!({})));
        let message = token.rsplit_once('.').unwrap().0;
        for signature in [vec![], vec![0; 64], vec![0; 256], vec![0xff; 256], vec![1]] {
            let token = format!("{message}.{}", b64(signature));
            assert_eq!(verifier.verify(&token, NOW), Err(Refusal::Signature), "{alg}");
        }
    }
}

/// The order of P-256 (SEC 2, section 2.4.2).
fn order() -> [u8; 32] {
    let mut order = [0xff; 32];
    order[4..8].fill(0);
    order[16..].copy_from_slice(&0xbce6_faad_a717_9e84_f3b9_cac2_fc63_2551_u128.to_be_bytes());
    order
}

#[test]
fn the_second_right_signature_of_a_token_is_no_second_token() {
    let verifier = with_keys(&PROVIDER.jwks());
    let token = PROVIDER.token("ES256", Some("ec"), &claims(json!({"jti": null})));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (byte, whole) in signature[32..].iter_mut().zip(order()).rev() {
        let difference = i16::from(whole) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
    let twin = format!("{message}.{}", b64(signature));
    assert_ne!(twin, token);
    assert_eq!(verifier.verify(&twin, NOW).unwrap().token, verifier.verify(&token, NOW).unwrap().token);
}

#[test]
fn the_same_jti_of_two_keys_names_two_tokens() {
    let verifier = with_keys(&PROVIDER.jwks());
    let id =
        |alg, kid| verifier.verify(&PROVIDER.token(alg, Some(kid), &claims(json!({}))), NOW).unwrap().token;
    assert_ne!(id("RS256", "rsa"), id("EdDSA", "ed"));
}

#[test]
fn an_issuers_tokens_say_who_issued_them_if_that_is_configured() {
    let (_folder, path) = key_file(&PROVIDER.jwks());
    let rules = Rules { issuer: Some("https://idp".to_owned()), audience: "films".to_owned() };
    let verifier = Verifier::new(rules, OwnKey::new(&SECRET), Some(IssuerKeys::open(&path).unwrap()));
    for (iss, expected) in [
        (json!("https://idp"), Ok(())),
        (json!("https://idp/"), Err(Refusal::Issuer)),
        (json!(null), Err(Refusal::Issuer)),
        (json!(["https://idp"]), Err(Refusal::Claim("iss"))),
    ] {
        let payload = claims(json!({"aud": "films", "iss": iss}));
        let verdict = verifier.verify(&PROVIDER.token("EdDSA", Some("ed"), &payload), NOW);
        assert_eq!(verdict.map(|_| ()), expected, "{iss}");
    }
    let own = own(r#"{"alg":"HS256","kid":"afflux"}"#, claims(json!({"aud": "films"})));
    assert!(verifier.verify(&own, NOW).is_ok());
}

#[test]
fn a_reload_brings_new_keys_and_a_bad_file_changes_nothing() {
    let (_folder, path) = key_file(&PROVIDER.ec_pem());
    let verifier =
        Verifier::new(Rules::default(), OwnKey::new(&SECRET), Some(IssuerKeys::open(&path).unwrap()));
    let (old, new) = (
        PROVIDER.token("ES256", None, &claims(json!({}))),
        PROVIDER.token("EdDSA", None, &claims(json!({}))),
    );
    assert_eq!((verifier.verify(&old, NOW).is_ok(), verifier.verify(&new, NOW).is_ok()), (true, false));
    std::fs::write(&path, "half a fi").unwrap();
    assert!(matches!(verifier.reload(), Err(BadKeys { fault: KeyFault::Format(_), .. })));
    assert!(verifier.verify(&old, NOW).is_ok());
    std::fs::write(&path, PROVIDER.ed_pem()).unwrap();
    verifier.reload().unwrap();
    assert_eq!((verifier.verify(&old, NOW).is_ok(), verifier.verify(&new, NOW).is_ok()), (false, true));
    assert!(alone().reload().is_ok());
}

fn curve_pem(algorithm: &'static EcdsaSigningAlgorithm) -> String {
    public_pem(EcdsaKeyPair::generate(algorithm).unwrap().public_key().as_der().unwrap().as_ref())
}

/// An RSA key of so many bytes in PKCS#1, whose PEM says so.
fn rsa_pem(bytes: usize, exponent: u8) -> String {
    let mut der = vec![0x30, 0x82];
    der.extend_from_slice(&((bytes + 8) as u16).to_be_bytes());
    der.extend_from_slice(&[2, 0x82]);
    der.extend_from_slice(&((bytes + 1) as u16).to_be_bytes());
    der.push(0);
    der.extend(std::iter::repeat_n(0xff, bytes));
    der.extend_from_slice(&[2, 1, exponent]);
    pem::encode(&pem::Pem::new("RSA PUBLIC KEY", der))
}

#[test]
fn pem_files_that_have_no_key_for_us() {
    let private = pem::encode(&pem::Pem::new("PRIVATE KEY", PROVIDER.ed.to_pkcs8().unwrap().as_ref()));
    let two = PROVIDER.ec_pem() + &PROVIDER.ed_pem();
    let p256 = curve_pem(&ECDSA_P256_SHA256_ASN1_SIGNING);
    assert!(open(&p256).is_ok() && open(&rsa_pem(256, 3)).is_ok());
    assert!(matches!(open(&private), Err(KeyFault::Private)));
    assert!(matches!(open(&(PROVIDER.ed_pem() + &private)), Err(KeyFault::Private)));
    assert!(matches!(open(&curve_pem(&ECDSA_P384_SHA384_ASN1_SIGNING)), Err(KeyFault::NoneUsable)));
    assert!(matches!(open(&curve_pem(&ECDSA_P256K1_SHA256_ASN1_SIGNING)), Err(KeyFault::NoneUsable)));
    assert!(matches!(open(&rsa_pem(128, 3)), Err(KeyFault::Weak)));
    assert!(matches!(open(&rsa_pem(256, 1)), Err(KeyFault::Weak)));
    assert!(matches!(open(&rsa_pem(256, 4)), Err(KeyFault::Weak)));
    for wrong in
        ["", "\u{feff}", "[]", "ssh-ed25519 AAAA", "-----BEGIN PUBLIC KEY-----", two.as_str(), &p256[..100]]
    {
        assert!(matches!(open(wrong), Err(KeyFault::Format(_))), "{wrong:?}");
    }
    // Lists in lists, thousands deep.
    let mut nested = vec![0x30, 0];
    while nested.len() < 20_000 {
        let length = nested.len() as u16;
        let head = if length < 128 {
            vec![0x30, length as u8]
        } else {
            [&[0x30, 0x82][..], &length.to_be_bytes()].concat()
        };
        nested.splice(..0, head);
    }
    assert!(matches!(open(&public_pem(&nested)), Err(KeyFault::NoneUsable)));
    let bare = pem::encode(&pem::Pem::new("RSA PUBLIC KEY", nested));
    assert!(matches!(open(&bare), Err(KeyFault::Weak)));
    assert!(matches!(open(&"x".repeat(600 * 1024)), Err(KeyFault::Size)));
}

#[test]
fn sets_are_taken_without_what_is_for_something_else() {
    let mut encryption = PROVIDER.rsa_jwk();
    encryption["use"] = "enc".into();
    encryption["kid"] = "other".into();
    let mut pss = PROVIDER.rsa_jwk();
    pss["alg"] = "PS256".into();
    let strange = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"});
    let p384 = json!({"kty": "EC", "crv": "P-384", "kid": "p384", "x": "AAAA", "y": "AAAA"});
    let set = json!({"keys": [encryption, pss, strange, p384, PROVIDER.rsa_jwk()], "note": 1}).to_string();
    let token = PROVIDER.token("RS256", Some("rsa"), &claims(json!({})));
    assert!(with_keys(&set).verify(&token, NOW).is_ok());
    let only = json!({"keys": [strange, p384]}).to_string();
    assert!(matches!(open(&only), Err(KeyFault::NoneUsable)));
    assert!(matches!(open(r#"{"keys":[]}"#), Err(KeyFault::NoneUsable)));
}

/// The set of these keys, or why it isn't taken.
fn fault(keys: &[Value]) -> KeyFault {
    open(&json!({ "keys": keys }).to_string()).expect_err("the set is wrong")
}

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

#[test]
fn sets_that_are_wrong_are_refused_whole() {
    let (rsa, ec, ed) = (PROVIDER.rsa_jwk(), PROVIDER.ec_jwk(), PROVIDER.ed_jwk());
    let short = b64([0xff; 128]);
    let long = b64([0xff; 1025]);
    assert!(matches!(fault(&[with(rsa.clone(), "n", short.into())]), KeyFault::Weak));
    assert!(matches!(fault(&[with(rsa.clone(), "n", long.into())]), KeyFault::Weak));
    let padded = [vec![0; 200], vec![0xff; 128]].concat();
    assert!(matches!(fault(&[with(rsa.clone(), "n", b64(padded).into())]), KeyFault::Weak));
    for exponent in [&[][..], &[1], &[0, 0, 1], &[2], &[4, 0, 0, 0, 1]] {
        assert!(
            matches!(fault(&[with(rsa.clone(), "e", b64(exponent).into())]), KeyFault::Weak),
            "{exponent:?}"
        );
    }
    assert!(matches!(fault(&[with(rsa.clone(), "d", "AAAA".into())]), KeyFault::Private));
    assert!(matches!(fault(&[json!({"kty": "oct", "k": b64(SECRET)})]), KeyFault::Private));
    assert!(matches!(fault(&[with(ec.clone(), "x", b64([1; 31]).into())]), KeyFault::Format(_)));
    assert!(matches!(fault(&[with(ed.clone(), "x", b64([1; 33]).into())]), KeyFault::Format(_)));
    assert!(matches!(fault(&[with(ed.clone(), "x", "AA==".into())]), KeyFault::Format(_)));
    assert!(matches!(fault(&[with(ec.clone(), "y", Value::Null)]), KeyFault::Format(_)));
    assert!(matches!(fault(&[with(ed.clone(), "kid", "afflux".into())]), KeyFault::Name));
    assert!(matches!(fault(&[with(ed.clone(), "kid", "".into())]), KeyFault::Name));
    assert!(matches!(fault(&[with(ed.clone(), "kid", "x".repeat(257).into())]), KeyFault::Name));
    assert!(matches!(fault(&[with(ed.clone(), "kid", "ec".into()), ec.clone()]), KeyFault::Name));
    assert!(matches!(fault(&[with(ed.clone(), "kid", Value::Null), ec]), KeyFault::Name));
    let many: Vec<Value> = (0..65).map(|nth| with(ed.clone(), "kid", nth.to_string().into())).collect();
    assert!(matches!(fault(&many), KeyFault::Count));
    for text in ["{}", "{", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(matches!(open(text), Err(KeyFault::Format(_))), "{text}");
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_lets_nobody_in() {
    let off = with(PROVIDER.ec_jwk(), "y", b64([1; 32]).into());
    let set = json!({ "keys": [off] }).to_string();
    let token = PROVIDER.token("ES256", Some("ec"), &claims(json!({})));
    assert_eq!(with_keys(&set).verify(&token, NOW), Err(Refusal::Signature));
}

#[test]
fn a_file_that_is_none_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(IssuerKeys::open(folder.path()), Err(BadKeys { fault: KeyFault::Size, .. })));
    let missing = IssuerKeys::open(&folder.path().join("none")).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
}
