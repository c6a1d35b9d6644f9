//! Where a token is in a request: in its one `Authorization` header (RFC 6750, section 2.1). Never in the query, which ends up
//! in logs, histories and `Referer`.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Refusal;

/// The token of a request, as it was sent: nothing in it has been looked at.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Repeated);
    }
    let value = value.to_str().map_err(|_| Refusal::Malformed)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let token = token.trim_matches(' ');
            if token.is_empty() { Err(Refusal::Missing) } else { Ok(token) }
        }
        _ => Err(Refusal::Missing),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value).unwrap());
        values.map(|value| (AUTHORIZATION, value)).collect()
    }

    #[test]
    fn the_scheme_is_taken_in_any_case_and_the_token_as_it_is() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(bearer(&headers(&[value.as_bytes()])), Ok("a.b.c"), "{value:?}");
        }
    }

    #[test]
    fn anything_but_one_bearer_header_is_refused() {
        let missing: [&[&[u8]]; 7] =
            [&[], &[b""], &[b"Bearer"], &[b"Bearer  "], &[b"Basic YTpi"], &[b"a.b.c"], &[b"Bearer\ta.b.c"]];
        for values in missing {
            assert_eq!(bearer(&headers(values)), Err(Refusal::Missing), "{values:?}");
        }
        assert_eq!(bearer(&headers(&[b"Bearer a.b.c", b"Bearer a.b.c"])), Err(Refusal::Repeated));
        assert_eq!(bearer(&headers(&[b"Basic YTpi", b"Bearer a.b.c"])), Err(Refusal::Repeated));
        assert_eq!(bearer(&headers(&[b"Bearer a.b.\xff"])), Err(Refusal::Malformed));
    }
}
