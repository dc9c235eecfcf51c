//! Judges the tokens on standard input: see ../../README.md.

mod verify;

use std::io::{BufRead, Write};

use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Line {
    name: String,
    token: String,
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let issuer = std::env::var("ISSUER")?;
    let verifier = verify::Verifier::discover(&issuer, &std::env::var("AUDIENCE")?)?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let Line { name, token } = serde_json::from_str(&line?)?;
        let verdict = match verifier.verify(&token) {
            // A verdict without the claims would be no use to a service.
            Ok(claims) if claims.iss == issuer => json!({ "name": name, "accepted": true }),
            Ok(_) => json!({ "name": name, "accepted": true, "error": "claims of another issuer" }),
            Err(error) => json!({ "name": name, "accepted": false, "error": error.to_string() }),
        };
        writeln!(out, "{verdict}")?;
    }
    Ok(())
}
