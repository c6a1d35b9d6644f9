//! Accounts: whose tokens the daemon takes besides its own.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::auth::{AUDIENCE, Rules};
use crate::failure::Failure;

const ACCOUNTS: &str = "Accounts";

/// Options of daemons with accounts.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuthOptions {
    /// Public key (PEM) or keys (JWKS) of an identity provider whose tokens are taken besides the daemon's own; read again on
    /// SIGHUP
    #[arg(long, value_name = "FILE", env = "STREAM_JWT_KEYS", help_heading = ACCOUNTS)]
    pub jwt_keys: Option<PathBuf>,
    /// What the aud of tokens must name [default: afflux]
    #[arg(long, value_name = "NAME", env = "STREAM_JWT_AUDIENCE", help_heading = ACCOUNTS)]
    pub jwt_audience: Option<String>,
    /// What the iss of the identity provider's tokens must be [default: anything]
    #[arg(long, value_name = "NAME", env = "STREAM_JWT_ISSUER", help_heading = ACCOUNTS)]
    pub jwt_issuer: Option<String>,
}

/// Whose tokens are taken, all values settled.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// File with the keys of an identity provider.
    pub keys: Option<PathBuf>,
    /// What their claims must say.
    pub rules: Rules,
}

impl AuthOptions {
    /// Overlays these over the file's values and fills in defaults.
    pub fn settle(self, file: AuthOptions) -> Result<AuthSettings, Failure> {
        let keys = self.jwt_keys.or(file.jwt_keys);
        let issuer = self.jwt_issuer.or(file.jwt_issuer);
        let audience = self.jwt_audience.or(file.jwt_audience).unwrap_or_else(|| AUDIENCE.to_owned());
        if audience.is_empty() || issuer.as_deref() == Some("") {
            return Err(Failure::usage(
                "--jwt-audience and --jwt-issuer can't be empty: name one or leave it out",
            ));
        }
        if issuer.is_some() && keys.is_none() {
            return Err(Failure::usage(
                "--jwt-issuer has no effect without --jwt-keys: it says who issues the tokens that those keys sign",
            ));
        }
        Ok(AuthSettings { keys, rules: Rules { audience, issuer } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = AuthOptions {
            jwt_keys: Some("idp.json".into()),
            jwt_issuer: Some("https://file".to_owned()),
            jwt_audience: None,
        };
        let flags = AuthOptions { jwt_issuer: Some("https://flag".to_owned()), ..Default::default() };
        let settings = flags.settle(file).unwrap();
        assert_eq!(settings.keys, Some("idp.json".into()));
        assert_eq!(settings.rules.issuer.as_deref(), Some("https://flag"));
        assert_eq!(settings.rules.audience, "afflux");
    }

    #[test]
    fn what_would_check_nothing_is_refused() {
        let issuer = AuthOptions { jwt_issuer: Some("https://idp".to_owned()), ..Default::default() };
        let failure = issuer.settle(AuthOptions::default()).expect_err("nobody's tokens have that issuer");
        assert!(failure.to_string().contains("--jwt-keys"), "{failure}");
        let audience = AuthOptions { jwt_audience: Some(String::new()), ..Default::default() };
        assert!(audience.settle(AuthOptions::default()).is_err());
    }
}
