//! What people see on the sign-in page.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Findings, Settings};
use crate::config::Logo;

/// Largest picture taken into the page, in bytes: the page is sent to everyone who is not logged in.
const MAX_LOGO: u64 = 256 * 1024;

/// The default names the e-mail domains that may log in, where a list of them decides.
pub(super) fn banner(settings: &Settings) -> Option<String> {
    let given = settings.some_text("banner");
    let domains = settings.items("email_domains");
    if given.is_some() || !settings.text("authenticated_emails_file").is_empty() {
        return given;
    }
    match domains.as_slice() {
        [] => None,
        [one] if one == "*" => None,
        [one] => Some(format!("Authenticate using {one}")),
        several => Some(format!("Authenticate using one of the following domains: {}", several.join(", "))),
    }
}

/// The picture: a file that becomes part of the page, or an address. The outer option is empty after a problem.
#[expect(clippy::option_option, reason = "no picture and a wrong one are two things")]
pub(super) fn logo(settings: &Settings, findings: &mut Findings) -> Option<Option<Logo>> {
    match settings.text("custom_sign_in_logo") {
        "" | "-" => Some(None),
        url if url.starts_with("https://") => match url::Url::parse(url) {
            Ok(parsed) => Some(Some(Logo::Linked(parsed.into()))),
            Err(error) => {
                findings.problem("custom_sign_in_logo", format!("is no URL: {error}"));
                None
            }
        },
        url if url.starts_with("http://") => {
            findings.problem("custom_sign_in_logo", "must be fetched over https://, or be a file");
            None
        }
        file => findings.take("custom_sign_in_logo", inline(Path::new(file))).map(Some),
    }
}

fn inline(path: &Path) -> Result<Logo, String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    let kind = match ending.as_deref() {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some(_) | None => return Err("must be a .svg, .png, .jpg or .jpeg file, an https:// URL, or -".to_owned()),
    };
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_LOGO {
        return Err(format!("{} has {size} bytes; at most {MAX_LOGO} fit into the page", path.display()));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    Ok(Logo::Inline(format!("data:{kind};base64,{}", STANDARD.encode(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_part_of_the_page() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("logo.SVG");
        std::fs::write(&file, "<svg/>").expect("written");
        assert_eq!(inline(&file), Ok(Logo::Inline("data:image/svg+xml;base64,PHN2Zy8+".to_owned())));
        assert!(inline(&folder.path().join("none.png")).is_err_and(|why| why.starts_with("cannot read")));
        assert!(inline(&folder.path().join("logo.gif")).is_err_and(|why| why.contains(".jpeg")));
        std::fs::write(folder.path().join("big.png"), vec![0; 300 * 1024]).expect("written");
        assert!(inline(&folder.path().join("big.png")).is_err_and(|why| why.contains("fit into the page")));
    }
}
