//! Keys to the dashboard: a token for programs, a link that opens it once, and the cookie that a browser has from then on.
//!
//! The token lies in the state directory and outlives the server, so that a page whose server was restarted goes on. The
//! cookie is made of it and says until when it holds; nothing has to be kept about it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use cookie::{Cookie, SameSite};

/// Bytes of chance in a token and in a code: 256 bits.
const KEY_BYTES: usize = 32;
/// How long a browser is known.
const SESSION_S: i64 = 30 * 24 * 3600;
/// Wrong codes and tokens that are read within [`FAILURES_TIME`]; further ones are refused unread.
const FAILURES_MAX: usize = 20;
/// See [`FAILURES_MAX`].
const FAILURES_TIME: Duration = Duration::from_mins(1);
/// Separates keys of this use from all others that could be made of the token.
const COOKIE_KEY: &str = "edvac 2026-11-28 dashboard cookie";

/// Who may see the dashboard.
pub(crate) struct Access {
    /// The token's digest: digests have one length, and blake3 compares them in constant time.
    token: blake3::Hash,
    /// What cookies are signed with.
    key: [u8; blake3::KEY_LEN],
    /// The cookie's name. Cookies are not told apart by port, so that two servers of one machine need two names.
    name: String,
    /// Codes that open the dashboard once, as digests.
    codes: Mutex<Vec<blake3::Hash>>,
    failures: Mutex<Vec<Instant>>,
}

/// What became of a code or token that somebody sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// It is right.
    Granted,
    /// It is wrong, or was used before.
    Wrong,
    /// Too many were wrong just now.
    TooMany,
}

impl Access {
    /// The access that a token gives, for a server at `port`.
    pub fn new(token: &str, port: u16) -> Self {
        Self {
            token: blake3::hash(token.as_bytes()),
            key: blake3::derive_key(COOKIE_KEY, token.as_bytes()),
            name: cookie_name(port),
            codes: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// A code that opens the dashboard once.
    pub fn code(&self) -> String {
        let code = chance();
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.push(blake3::hash(code.as_bytes()));
        code
    }

    /// Takes a code, or the token itself. A code is used up by it.
    pub fn log_in(&self, sent: &str) -> Login {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|at| at.elapsed() < FAILURES_TIME);
        if failures.len() >= FAILURES_MAX {
            return Login::TooMany;
        }
        let sent = blake3::hash(sent.as_bytes());
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = codes.len();
        codes.retain(|code| *code != sent);
        if codes.len() < before || sent == self.token {
            return Login::Granted;
        }
        failures.push(Instant::now());
        Login::Wrong
    }

    /// Whether it is the token.
    pub fn is_token(&self, sent: &str) -> bool {
        blake3::hash(sent.as_bytes()) == self.token
    }

    /// The name of its cookie.
    pub fn cookie_name(&self) -> &str {
        &self.name
    }

    /// The cookie for a browser that logged in.
    pub fn cookie(&self, now_s: i64) -> Cookie<'static> {
        let until = now_s + SESSION_S;
        Cookie::build((self.name.clone(), format!("{until}.{}", self.signature(until))))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .max_age(cookie::time::Duration::seconds(SESSION_S))
            .build()
    }

    /// Whether a request comes with a cookie of ours that still holds.
    pub fn knows(&self, headers: &HeaderMap, now_s: i64) -> bool {
        let sent = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = sent.flat_map(Cookie::split_parse).filter_map(Result::ok);
        cookies.any(|cookie| cookie.name() == self.name && self.holds(cookie.value(), now_s))
    }

    fn holds(&self, value: &str, now_s: i64) -> bool {
        let Some((until, signature)) = value.split_once('.') else { return false };
        let Ok(until) = until.parse::<i64>() else { return false };
        let signature = blake3::Hash::from_hex(signature);
        signature.is_ok_and(|sent| sent == self.signature(until)) && now_s < until
    }

    fn signature(&self, until: i64) -> blake3::Hash {
        blake3::keyed_hash(&self.key, until.to_string().as_bytes())
    }
}

/// The name of the cookie of a server at `port`.
pub(crate) fn cookie_name(port: u16) -> String {
    format!("edvac-{port}")
}

/// 256 bits of chance, as letters and digits that any address can carry.
fn chance() -> String {
    let bytes: [u8; KEY_BYTES] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token in `file`; made, for its owner's eyes only, where there is none.
pub fn token_in(file: &Path) -> std::io::Result<String> {
    match fs::read_to_string(file) {
        Ok(token) if token.trim().len() >= 2 * KEY_BYTES => return Ok(token.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let token = chance();
    let beside = file.with_extension("new");
    // One that is left of a process that died would keep its own mode.
    let _ = fs::remove_file(&beside);
    let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    new.write_all(token.as_bytes())?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sent(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    #[test]
    fn a_code_opens_once() {
        let access = Access::new("token", 1);
        let code = access.code();
        assert_eq!(code.len(), 64);
        assert_eq!(access.log_in(&code), Login::Granted);
        assert_eq!(access.log_in(&code), Login::Wrong);
        assert_eq!(access.log_in("token"), Login::Granted);
        assert_eq!(access.log_in("token"), Login::Granted);
    }

    #[test]
    fn guessing_ends() {
        let access = Access::new("token", 1);
        for _ in 0..FAILURES_MAX {
            assert_eq!(access.log_in("guess"), Login::Wrong);
        }
        assert_eq!(access.log_in("token"), Login::TooMany);
    }

    #[test]
    fn a_cookie_holds_for_its_time_its_port_and_its_token() {
        let access = Access::new("token", 4711);
        let cookie = access.cookie(1_000);
        assert_eq!((cookie.http_only(), cookie.same_site()), (Some(true), Some(SameSite::Strict)));
        let pair = format!("a=b; {}={}; c=d", cookie.name(), cookie.value());
        assert!(access.knows(&sent(&pair), 1_001));
        assert!(!access.knows(&sent(&pair), 1_000 + SESSION_S));
        assert!(!Access::new("token", 4712).knows(&sent(&pair), 1_001));
        assert!(!Access::new("other", 4711).knows(&sent(&pair), 1_001));
        let (until, signature) = cookie.value().split_once('.').unwrap();
        let later: i64 = until.parse::<i64>().unwrap() + 1;
        for forged in
            [format!("{later}.{signature}"), format!("{until}."), signature.to_owned(), String::new()]
        {
            assert!(!access.knows(&sent(&format!("edvac-4711={forged}")), 1_001), "{forged}");
        }
        assert!(!access.knows(&HeaderMap::new(), 1_001));
    }

    #[test]
    fn the_token_is_made_once_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server/token");
        let token = token_in(&file).unwrap();
        assert_eq!(token_in(&file).unwrap(), token);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(token.len(), 64);
        // One that was cut is no token.
        fs::write(&file, "short").unwrap();
        assert_ne!(token_in(&file).unwrap(), "short");
    }
}
