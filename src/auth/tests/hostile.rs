//! Tokens that the daemon's own key must not be made to take, each with what is said to it.

use super::*;

#[track_caller]
fn refused(what: &str, token: &str, refusal: Refusal) {
    assert_eq!(alone().verify(token, NOW).unwrap_err(), refusal, "{what}");
}

/// The parts of a good token.
fn parts() -> [String; 3] {
    let token = own(HEADER, claims(json!({})));
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

#[test]
fn what_all_the_others_are_made_of_is_good() {
    let identity = alone().verify(&parts().join("."), NOW).unwrap();
    assert_eq!(identity.user.as_str(), "anna");
    assert!(identity.scopes.contains(Scope::Stream) && !identity.scopes.contains(Scope::Admin));
    assert_eq!((identity.max_streams, identity.max_rate), (None, None));
}

#[test]
fn shapes_that_are_no_signed_token() {
    let [header, payload, signature] = parts();
    let whole = format!("{header}.{payload}.{signature}");
    let jwe = format!("{header}.{payload}.{signature}.{payload}.{signature}");
    let long = format!("{whole}{}", "A".repeat(8 * 1024 + 1 - whole.len()));
    let stray = flip_stray_bits(&signature);
    for (what, token) in [
        ("nothing", ""),
        ("dots", ".."),
        ("no dot", &header),
        ("two parts", &format!("{header}.{payload}")),
        ("a dot behind", &format!("{whole}.")),
        ("a dot before", &format!(".{whole}")),
        ("a dot between", &format!("{header}..{payload}.{signature}")),
        ("five parts, as encrypted ones have", &jwe),
        ("padding of the signature", &format!("{whole}=")),
        ("another spelling of the signature", &format!("{header}.{payload}.{stray}")),
        ("space before", &format!(" {whole}")),
        ("space within", &format!("{header}. {payload}. {signature}")),
        ("padding of the header", &format!("{header}=.{payload}.{signature}")),
        ("a line end behind", &format!("{whole}\n")),
        ("base64 that isn't for URLs", &format!("{header}.{payload}.{}+/", &signature[2..])),
        ("quotes", &format!("\"{whole}\"")),
        ("letters beyond ASCII", &format!("{header}.{payload}.{signature}é")),
        ("8 KiB and a byte", &long),
        ("JSON instead of base64", r#"{"alg":"none"}.{"sub":"anna"}."#),
        ("a signed URL of media", "c2Vzc2lvbg-0123456789abcdef0123456789abcdef"),
    ] {
        refused(what, token, Refusal::Malformed);
    }
}

/// The same bytes in base64 of another spelling: the bits of the last letter that mean nothing are set.
fn flip_stray_bits(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let value = LETTERS.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    assert_eq!(value & 3, 0, "32 bytes leave two bits");
    format!("{rest}{}", LETTERS[value | 1] as char)
}

#[test]
fn headers_that_are_no_header() {
    let good = claims(json!({}));
    let deep = format!(r#"{{"alg":"HS256","x":{}}}"#, "[".repeat(4000));
    let headers: [(&str, &[u8]); 13] = [
        ("empty", b""),
        ("a list in the order of our fields", br#"["HS256",null,"JWT",false]"#),
        ("a text", br#""HS256""#),
        ("null", b"null"),
        ("no alg", b"{}"),
        ("alg null", br#"{"alg":null}"#),
        ("alg a list", br#"{"alg":["HS256"]}"#),
        ("alg twice", br#"{"alg":"HS256","alg":"none"}"#),
        ("kid a number", br#"{"alg":"HS256","kid":1}"#),
        ("kid twice", br#"{"alg":"HS256","kid":"afflux","kid":"afflux"}"#),
        ("bytes that are no text", b"{\"alg\":\"HS256\",\"kid\":\"\xff\"}"),
        ("something behind it", br#"{"alg":"HS256"}{}"#),
        ("depth", deep.as_bytes()),
    ];
    for (what, header) in headers {
        refused(what, &own(header, &good), Refusal::Malformed);
    }
}

#[test]
fn algorithms_that_are_not_the_keys() {
    let [_, payload, signature] = parts();
    for alg in [
        "none", "None", "NONE", "nOnE", "", " ", "none ", "HS256 ", "hs256", "HS384", "HS512", "RS256",
        "ES256", "EdDSA", "PS256", "HS256\0",
    ] {
        for header in [json!({"alg": alg}), json!({"alg": alg, "kid": "afflux"})] {
            let header = b64(header.to_string());
            refused(alg, &format!("{header}.{payload}."), Refusal::Algorithm);
            refused(alg, &format!("{header}.{payload}.{signature}"), Refusal::Algorithm);
        }
    }
    let header = r#"{"alg":"HS512"}"#;
    refused(
        "the right secret",
        &hmac(&SECRET, Algorithm::HS512, header, claims(json!({}))),
        Refusal::Algorithm,
    );
}

#[test]
fn keys_that_a_token_would_like_to_choose() {
    let secret = b64([9; 32]);
    for kid in
        ["", "Afflux", "afflux\0", "../../dev/null", "/dev/null", "' OR 1=1 --", "http://evil/keys", &secret]
    {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        refused(kid, &own(&header, claims(json!({}))), Refusal::Key);
        refused(kid, &hmac(b"", Algorithm::HS256, &header, claims(json!({}))), Refusal::Key);
    }
    for brought in [
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": secret}}),
        json!({"alg": "HS256", "jku": "http://127.0.0.1:1/keys", "kid": "afflux"}),
        json!({"alg": "HS256", "x5u": "file:///etc/passwd"}),
        json!({"alg": "HS256", "x5c": ["MIIB"]}),
    ] {
        let header = brought.to_string();
        refused(&header, &hmac(&[9; 32], Algorithm::HS256, &header, claims(json!({}))), Refusal::Signature);
        // What the daemon signed itself is good: such members are passed over, not followed.
        assert!(alone().verify(&own(&header, claims(json!({}))), NOW).is_ok(), "{header}");
    }
}

#[test]
fn extensions_and_types_that_are_not_ours() {
    for crit in [r#"["exp"]"#, "[]", "null", r#"["b64"]"#, "1"] {
        let header = format!(r#"{{"alg":"HS256","b64":false,"crit":{crit}}}"#);
        refused(crit, &own(&header, claims(json!({}))), Refusal::Extension);
    }
    for typ in ["", "JWE", "JOSE", "id+jwt", "media+jwt", "logout+jwt", "JWT ", "application/", "text/jwt"] {
        refused(typ, &own(json!({"alg": "HS256", "typ": typ}).to_string(), claims(json!({}))), Refusal::Type);
    }
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = own(json!({"alg": "HS256", "typ": typ}).to_string(), claims(json!({})));
        assert!(alone().verify(&token, NOW).is_ok(), "{typ}");
    }
}

#[test]
fn signatures_that_are_wrong() {
    let [header, payload, signature] = parts();
    let good = claims(json!({}));
    let other = claims(json!({"sub": "admin"}));
    let mut short = URL_SAFE_NO_PAD.decode(&signature).unwrap();
    short.truncate(16);
    for (what, token) in [
        ("none", format!("{header}.{payload}.")),
        ("half of it", format!("{header}.{payload}.{}", b64(short))),
        ("zeros", format!("{header}.{payload}.{}", b64([0; 32]))),
        ("another payload", format!("{header}.{}.{signature}", b64(other))),
        ("another header", format!("{}.{payload}.{signature}", b64(r#"{"alg":"HS256"}"#))),
        ("padding behind the payload", format!("{header}.{payload}=.{signature}")),
        ("space before the payload", format!("{header}. {payload}.{signature}")),
        ("another secret", hmac(&[8; 32], Algorithm::HS256, HEADER, &good)),
        ("an empty secret", hmac(b"", Algorithm::HS256, HEADER, &good)),
        ("another hash", hmac(&SECRET, Algorithm::HS512, HEADER, &good)),
    ] {
        refused(what, &token, Refusal::Signature);
    }
}

#[test]
fn nothing_that_a_token_says_is_looked_at_before_its_signature() {
    for payload in ["", "[]", "\u{0}", r#"{"exp":"x"}"#, &claims(json!({"exp": 1}))] {
        refused(payload, &hmac(&[8; 32], Algorithm::HS256, HEADER, payload), Refusal::Signature);
    }
}

#[test]
fn payloads_that_are_no_claims() {
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let deep_claim = format!(r#"{{"aud":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let exp = NOW + 60;
    let payloads: Vec<Vec<u8>> = vec![
        b"".into(),
        b"null".into(),
        b"[\"anna\",1]".into(),
        b"{\"sub\":\"\xff\"}".into(),
        b"{\"sub\":\"\\ud800\"}".into(),
        b"{\"exp\":NaN}".into(),
        b"{\"exp\":Infinity}".into(),
        b"{\"exp\":1e999}".into(),
        b"{\"exp\":01}".into(),
        b"{\"sub\":\"anna\",}".into(),
        b"\xef\xbb\xbf{}".into(),
        format!(r#"{{"sub":"anna","sub":"root","aud":"afflux","exp":{exp}}}"#).into(),
        format!(r#"{{"sub":"anna","aud":"afflux","exp":{exp},"exp":99999999999}}"#).into(),
        format!(r#"{{"sub":"anna","aud":"afflux","exp":{exp},"scope":"stream","sc\u006fpe":"admin"}}"#)
            .into(),
        deep_claim.into(),
    ];
    for payload in payloads {
        refused(&String::from_utf8_lossy(&payload), &own(HEADER, &payload), Refusal::Malformed);
    }
    for payload in ["e30=", "e31", "e 30", "e30\n", "e3/="] {
        let message = format!("{}.{payload}", b64(HEADER));
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(&SECRET),
            Algorithm::HS256,
        );
        refused(payload, &format!("{message}.{}", signature.unwrap()), Refusal::Malformed);
    }
    // Depth in what nobody reads costs nothing, and is nobody's business.
    refused("depth elsewhere", &own(HEADER, deep), Refusal::Claim("exp"));
}

#[test]
fn times_that_are_over_not_yet_or_none() {
    let huge: Value = serde_json::from_str("18446744073709551616").unwrap();
    for (what, changes, refusal) in [
        ("no end", json!({"exp": null}), Refusal::Claim("exp")),
        ("an end in words", json!({"exp": "2147483647"}), Refusal::Claim("exp")),
        ("an end before 1970", json!({"exp": -1}), Refusal::Claim("exp")),
        ("an end far before", json!({"exp": -1e300}), Refusal::Claim("exp")),
        ("an end that never comes", json!({"exp": u64::MAX}), Refusal::Claim("exp")),
        ("nor this one", json!({"exp": huge}), Refusal::Claim("exp")),
        ("nor this", json!({"exp": 1e300}), Refusal::Claim("exp")),
        ("milliseconds", json!({"exp": (NOW + 60) * 1000}), Refusal::Claim("exp")),
        ("a truth", json!({"exp": true}), Refusal::Claim("exp")),
        ("a list", json!({"exp": [NOW + 60]}), Refusal::Claim("exp")),
        ("at the end of the leeway", json!({"exp": NOW - 30}), Refusal::Expired),
        ("a fraction before it", json!({"exp": NOW as f64 - 30.5}), Refusal::Expired),
        ("1970", json!({"exp": 0}), Refusal::Expired),
        ("minus nothing", json!({"exp": -0.0}), Refusal::Expired),
        ("a beginning after the leeway", json!({"nbf": NOW + 31}), Refusal::NotYetValid),
        ("a making after the leeway", json!({"iat": NOW + 31, "nbf": null}), Refusal::NotYetValid),
        ("a beginning in words", json!({"nbf": "0"}), Refusal::Claim("nbf")),
        ("a beginning before 1970", json!({"nbf": i64::MIN}), Refusal::Claim("nbf")),
        ("a making in words", json!({"iat": {}}), Refusal::Claim("iat")),
    ] {
        refused(what, &own(HEADER, claims(changes)), refusal);
    }
    for changes in [
        json!({"exp": NOW - 29}),
        json!({"exp": NOW as f64 + 0.5}),
        json!({"nbf": NOW + 30, "iat": NOW + 30}),
        json!({"nbf": null, "iat": null}),
        json!({"exp": 253_402_300_799_u64}),
    ] {
        assert!(alone().verify(&own(HEADER, claims(changes.clone())), NOW).is_ok(), "{changes}");
    }
}

#[test]
fn clocks_at_their_ends_do_not_overflow() {
    let token = own(HEADER, claims(json!({})));
    assert_eq!(alone().verify(&token, u64::MAX), Err(Refusal::Expired));
    assert_eq!(alone().verify(&token, 0), Err(Refusal::NotYetValid));
}

#[test]
fn audiences_that_are_others() {
    for (aud, refusal) in [
        (json!(null), Refusal::Audience),
        (json!(""), Refusal::Audience),
        (json!("Afflux"), Refusal::Audience),
        (json!("afflux "), Refusal::Audience),
        (json!("afflux-media"), Refusal::Audience),
        (json!("https://afflux"), Refusal::Audience),
        (json!([]), Refusal::Audience),
        (json!(["other", "afflux-media"]), Refusal::Audience),
        (json!(["afflux", 1]), Refusal::Claim("aud")),
        (json!([["afflux"]]), Refusal::Claim("aud")),
        (json!({"afflux": true}), Refusal::Claim("aud")),
        (json!(1), Refusal::Claim("aud")),
    ] {
        refused(&aud.to_string(), &own(HEADER, claims(json!({"aud": aud}))), refusal);
    }
    let several = own(HEADER, claims(json!({"aud": ["other", "afflux"]})));
    assert!(alone().verify(&several, NOW).is_ok());
}

#[test]
fn users_that_cannot_be() {
    let long = "x".repeat(129);
    for sub in
        [json!(null), json!(""), json!("a\nb"), json!("a\u{0}"), json!(1), json!(["anna"]), json!(long)]
    {
        refused(&sub.to_string(), &own(HEADER, claims(json!({"sub": sub}))), Refusal::Subject);
    }
}

#[test]
fn limits_and_names_that_are_no_numbers_or_texts() {
    let long = "x".repeat(257);
    for (name, value) in [
        ("max_streams", json!(-1)),
        ("max_streams", json!(1.5)),
        ("max_streams", json!("2")),
        ("max_rate", json!(1e300)),
        ("max_rate", json!([])),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!(long)),
        ("scope", json!(["stream", "admin"])),
        ("scope", json!({})),
    ] {
        refused(&format!("{name} {value}"), &own(HEADER, claims(json!({name: value}))), Refusal::Claim(name));
    }
    let wide =
        alone().verify(&own(HEADER, claims(json!({"max_streams": u64::MAX, "max_rate": 0}))), NOW).unwrap();
    assert_eq!((wide.max_streams, wide.max_rate), (Some(u32::MAX), None));
}

#[test]
fn a_token_without_scopes_allows_nothing() {
    let identity = alone().verify(&own(HEADER, claims(json!({"scope": null}))), NOW).unwrap();
    assert!(identity.scopes.is_empty());
}

#[test]
fn every_token_has_an_id_of_its_own() {
    let id = |changes| alone().verify(&own(HEADER, claims(changes)), NOW).unwrap().token;
    assert_eq!(id(json!({})), TokenId::of_jti("afflux", "1"));
    assert_ne!(id(json!({"jti": "2"})), id(json!({})));
    assert_ne!(id(json!({"jti": null})), id(json!({"jti": null, "sub": "berta"})));
    assert_eq!(id(json!({"jti": null})), id(json!({"jti": null})));
}

#[test]
fn a_code_for_each_refusal_and_nothing_of_the_token_in_its_sentence() {
    let all = [
        Refusal::Missing,
        Refusal::Repeated,
        Refusal::Malformed,
        Refusal::Type,
        Refusal::Extension,
        Refusal::Key,
        Refusal::Algorithm,
        Refusal::Signature,
        Refusal::Claim("exp"),
        Refusal::Expired,
        Refusal::NotYetValid,
        Refusal::Audience,
        Refusal::Issuer,
        Refusal::Subject,
        Refusal::Revoked,
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), all.len());
    assert!(codes.iter().all(|code| code.starts_with("token_")));
    for refusal in all {
        assert!(refusal.to_string().len() > 20 && refusal.challenge().starts_with("Bearer "), "{refusal:?}");
    }
    assert!(Refusal::Claim("exp").to_string().contains("not milliseconds"));
}
