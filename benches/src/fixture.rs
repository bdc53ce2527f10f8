//! What the subjects have in common: keys, sessions and logins of realistic shape.

use conclave::clock::SystemEntropy;
use conclave_proto::command::{CreateSession, FIRST_EPOCH};
use conclave_proto::id::{AttemptId, ClusterId, ProviderId, SessionKey, SidKey, SiteId, SubjectKey};
use conclave_proto::keyring::{ClusterKey, CookieSecret, Keyring};
use conclave_proto::session::{Identity, SessionBody};
use conclave_proto::time::{Entropy, Ttl};

use crate::Failure;

/// oauth2-proxy's default.
pub const COOKIE_NAME: &str = "_oauth2_proxy";

/// A usual sealed label: who, from where, which browser.
const LABEL_BYTES: usize = 260;

/// Fresh random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemEntropy::new().fill(&mut bytes);
    bytes
}

/// So many random bytes.
pub fn random_bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    SystemEntropy::new().fill(&mut bytes);
    bytes
}

/// So many random hexadecimal digits.
pub fn random_hex(len: usize) -> String {
    let digits = random_bytes(len.div_ceil(2)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    digits[..len].to_owned()
}

/// So many random characters of base64url, which is what tokens are made of: they compress by a quarter.
pub fn random_base64(len: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    random_bytes(len).into_iter().map(|byte| char::from(alphabet[usize::from(byte % 64)])).collect()
}

/// A cookie secret of 32 bytes.
pub fn cookie_secret() -> Result<CookieSecret, Failure> {
    Ok(CookieSecret::parse(&random_hex(32))?)
}

/// The keys of a cluster under one secret.
pub fn keyring() -> Result<Keyring, Failure> {
    let cluster = ClusterId::from_bytes(random());
    let secret = cookie_secret()?;
    let envelope = ClusterKey::mint(random()).wrap(&secret, cluster, random());
    Ok(Keyring::open(&[secret], &[envelope], cluster, FIRST_EPOCH)?)
}

/// A session whose ID token has so many characters that do not compress.
pub fn body(user: usize, issuer: &str, token: usize) -> SessionBody {
    SessionBody {
        identity: Identity {
            user: format!("user-{user}"),
            email: format!("user-{user}@example.test"),
            groups: ["staff", "admins", "on-call"].map(str::to_owned).to_vec(),
            preferred_username: format!("u{user}"),
            groups_claimed: true,
        },
        issuer: issuer.to_owned(),
        id_token: random_hex(token),
        access_token: String::new(),
        refresh_token: String::new(),
        token_expires_at: None,
        additional_claims: Vec::new(),
        local_line: None,
    }
}

/// A login of someone new, its sealed body of so many bytes.
pub fn login(body: usize) -> CreateSession {
    CreateSession {
        key: SessionKey::from_bytes(random()),
        attempt: AttemptId::from_bytes(random()),
        epoch: FIRST_EPOCH,
        provider: ProviderId::default(),
        site: SiteId::default(),
        lifetime: Ttl::from_secs(7 * 24 * 3600),
        subject: SubjectKey::from_bytes(random()),
        sid: Some(SidKey::from_bytes(random())),
        label: random_bytes(LABEL_BYTES),
        body: random_bytes(body),
        replaces: Vec::new(),
        sessions_per_person: 1000,
    }
}
