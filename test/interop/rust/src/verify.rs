//! Verifies access tokens. Crates: jsonwebtoken (feature `rust_crypto` or `aws_lc_rs`), serde (`derive`), serde_json,
//! ureq (`json`, `rustls`). One `Verifier` serves all threads of a service.

use std::error::Error;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

type Failure = Box<dyn Error + Send + Sync>;

const LONGEST: usize = 8192;
const LEEWAY: u64 = 30;
/// How long a key may be trusted after the issuer has withdrawn it.
const KEYS_FRESH: Duration = Duration::from_secs(300);
/// Tokens with invented key ids must not make us ask the issuer again and again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// A claim that is missing, of another type or there twice is an error of deserialization.
#[derive(Deserialize)]
#[allow(dead_code, reason = "a service reads what it needs")]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: Value,
    pub client_id: String,
    pub iat: f64,
    pub exp: f64,
    pub jti: String,
    #[serde(default)]
    pub scope: String,
    #[serde(default)]
    pub roles: Vec<String>,
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

struct Keys {
    set: JwkSet,
    fetched: Instant,
    asked: Instant,
}

pub struct Verifier {
    http: ureq::Agent,
    jwks_uri: String,
    keys: Mutex<Keys>,
    validation: Validation,
}

impl Verifier {
    /// `issuer` is `https://auth.example.com`, exactly as tokens name it.
    pub fn discover(issuer: &str, audience: &str) -> Result<Self, Failure> {
        let http: ureq::Agent = ureq::Agent::config_builder()
            .https_only(issuer.starts_with("https://"))
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .into();
        let url = format!("{issuer}/.well-known/openid-configuration");
        let metadata: Metadata = http.get(&url).call()?.body_mut().read_json()?;
        if metadata.issuer != issuer {
            return Err("the metadata is of another issuer".into());
        }

        // By default the crate asks only for `exp` and ignores `nbf`, and an issuer or audience that is missing.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;

        let set = fetch(&http, &metadata.jwks_uri)?;
        let keys = Mutex::new(Keys { set, fetched: Instant::now(), asked: Instant::now() });
        Ok(Self { http, jwks_uri: metadata.jwks_uri, keys, validation })
    }

    /// The error says for the log what is wrong; the client is told 401 and no more.
    pub fn verify(&self, token: &str) -> Result<Claims, Failure> {
        if token.len() > LONGEST {
            return Err("too long".into());
        }
        let header = decode_header(token)?;
        // The crate looks at neither of the two. A media type: capitals and "application/" do not matter.
        let typ = header.typ.as_deref().unwrap_or("").to_ascii_lowercase();
        if typ.strip_prefix("application/").unwrap_or(&typ) != "at+jwt" {
            return Err("typ is not at+jwt".into());
        }
        if header.crit.is_some() {
            return Err("crit: no extension is known here".into());
        }
        let key = self.key(header.kid.as_deref().ok_or("no kid")?)?;
        let claims = decode::<Claims>(token, &DecodingKey::from_jwk(&key)?, &self.validation)?.claims;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        if claims.iat > (now + LEEWAY) as f64 {
            return Err("iat is in the future".into());
        }
        // Without a proof of the key (RFC 9449), which is not looked at here, it may be stolen.
        if claims.others.contains_key("cnf") {
            return Err("bound to a key".into());
        }
        Ok(claims)
    }

    fn key(&self, kid: &str) -> Result<Jwk, Failure> {
        let mut keys = self.keys()?;
        let due = keys.set.find(kid).is_none() || keys.fetched.elapsed() > KEYS_FRESH;
        if due && keys.asked.elapsed() > ASK_AGAIN {
            keys.asked = Instant::now();
            // Only this request waits for the answer. While the issuer is down, the keys that we have go on serving.
            drop(keys);
            let answer = fetch(&self.http, &self.jwks_uri);
            keys = self.keys()?;
            if let Ok(set) = answer {
                keys.set = set;
                keys.fetched = Instant::now();
            }
        }
        Ok(keys.set.find(kid).ok_or("unknown kid")?.clone())
    }

    fn keys(&self) -> Result<MutexGuard<'_, Keys>, Failure> {
        self.keys.lock().map_err(|_| "the lock of the keys is broken".into())
    }
}

fn fetch(http: &ureq::Agent, jwks_uri: &str) -> Result<JwkSet, ureq::Error> {
    http.get(jwks_uri).call()?.body_mut().read_json()
}
