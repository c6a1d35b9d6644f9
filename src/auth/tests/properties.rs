//! What holds for any text: nothing panics, and nobody gets in without a signature.

use proptest::prelude::*;

use super::*;

/// Any JSON, small enough to be a token and with the names that matter more often than chance would have them.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (NOW - 100..NOW + 100).prop_map(Value::from),
        prop_oneof!["afflux", "JWT", "at+jwt", "stream admin", "HS256", ".{0,12}"].prop_map(Value::from),
    ];
    let name =
        prop_oneof!["sub|exp|nbf|iat|aud|iss|jti|scope|max_streams|max_rate|alg|kid|typ|crit", "[a-z]{0,4}"];
    leaf.prop_recursive(3, 24, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Changes of a few claims.
fn changes() -> impl Strategy<Value = Value> {
    let name = "sub|exp|nbf|iat|aud|iss|jti|scope|max_streams|max_rate";
    prop::collection::hash_map(name, json(), 0..4)
        .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into())
}

proptest! {
    #[test]
    fn text_is_never_a_token(text in prop_oneof!["\\PC{0,64}", "[A-Za-z0-9_.=-]{0,200}"]) {
        prop_assert!(alone().verify(&text, NOW).is_err());
    }

    #[test]
    fn a_token_with_any_byte_changed_is_refused(at in 0_usize..200, byte in "[A-Za-z0-9_.=-]") {
        let token = own(HEADER, claims(json!({})));
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &byte);
        prop_assume!(changed != token);
        prop_assert!(alone().verify(&changed, NOW).is_err());
    }

    #[test]
    fn any_signed_header_and_claims_are_taken_or_refused(header in json(), payload in json()) {
        let _ = alone().verify(&own(header.to_string(), payload.to_string()), NOW);
        let _ = alone().verify(&own(HEADER, payload.to_string()), NOW);
    }

    #[test]
    fn whoever_gets_in_was_named_and_in_time(changes in changes(), now in NOW - 200..NOW + 200) {
        let token = own(HEADER, claims(changes.clone()));
        if let Ok(identity) = alone().verify(&token, now) {
            let said = |name: &str| changes.get(name).filter(|claim| !claim.is_null()).cloned();
            prop_assert_eq!(said("sub").unwrap_or(json!("anna")), identity.user.as_str());
            prop_assert!(now < identity.expires + 30);
            prop_assert!(identity.expires <= 253_402_300_799);
        }
    }

    #[test]
    fn any_file_of_keys_is_taken_or_refused(set in json(), text in "\\PC{0,200}") {
        let frame = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        for text in [json!({"keys": [set]}).to_string(), text, frame] {
            let (_folder, path) = key_file(&text);
            prop_assert!(IssuerKeys::open(&path).is_err());
        }
    }
}
