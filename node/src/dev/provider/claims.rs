//! The two users and what is said about them.

use serde_json::{Map, Value, json};

/// A person who can log in here. Each password equals the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// Also the password.
    pub(super) name: &'static str,
    display_name: &'static str,
    groups: &'static [&'static str],
}

const USERS: [User; 2] = [
    User { name: "alice", display_name: "Alice Adams", groups: &["staff", "admins"] },
    User { name: "bob", display_name: "Bob Brown", groups: &["staff"] },
];

/// Names of all claims, for discovery.
pub(super) const SUPPORTED: [&str; 10] =
    ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "email_verified", "preferred_username", "groups"];

/// Checks a password.
pub(super) fn authenticate(name: &str, password: &str) -> Option<User> {
    USERS.into_iter().find(|user| user.name == name && user.name == password)
}

/// What `scope` asks for about a user.
pub(super) fn about(user: User, scope: &str) -> Map<String, Value> {
    let asked = |name: &str| scope.split(' ').any(|scope| scope == name);
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(user.name));
    if asked("email") {
        claims.insert("email".to_owned(), json!(format!("{}@example.test", user.name)));
        claims.insert("email_verified".to_owned(), json!(true));
    }
    if asked("profile") {
        claims.insert("name".to_owned(), json!(user.display_name));
        claims.insert("preferred_username".to_owned(), json!(user.name));
    }
    if asked("groups") {
        claims.insert("groups".to_owned(), json!(user.groups));
    }
    claims
}
