//! The notes about gateways that the chart prints and the guide holds, and what stands in them for a reader to copy.

pub mod envoy;
pub mod fronts;
pub mod kube_api;
pub mod stand;
pub mod wire;

use serde_json::Value;

use crate::helm::{self, RELEASE};
use crate::{Failure, repository};

/// The page of the guide that holds the notes.
const GUIDE: &str = "docs/gateways.md";

/// What follows the note in what `helm install` prints.
const AFTER: &str = "\n\nnetworkPolicy closes";

/// A note as it is printed.
#[derive(Clone, Debug)]
pub struct Note {
    /// The whole of it.
    pub text: String,
    blocks: Vec<(String, String)>,
}

impl Note {
    /// What `helm install` prints for a kind of gateway.
    pub fn of_chart(gateway: &str) -> Result<Self, Failure> {
        let chart = helm::chart();
        let chart = chart.to_str().ok_or("a path is not UTF-8")?;
        let set = format!("gateway={gateway}");
        let args = ["install", RELEASE, chart, "--namespace", helm::NAMESPACE, "--dry-run=client", "--set", &set];
        let output = helm::helm(&args)?;
        let printed = String::from_utf8(output.stdout)?;
        let note = printed.split_once("\nFor ").and_then(|(_, rest)| rest.split_once(AFTER)).map(|(note, _)| note);
        let note = note.ok_or_else(|| format!("no note for {gateway}: {}", String::from_utf8_lossy(&output.stderr)))?;
        Self::read(&format!("For {note}"))
    }

    /// Takes the fenced blocks out of a text: what follows the language says what a block is.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let mut blocks: Vec<(String, String)> = Vec::new();
        let mut open = false;
        for line in text.lines() {
            match (line.strip_prefix("```"), open) {
                (Some(head), false) => {
                    blocks.push((head.to_owned(), String::new()));
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => {
                    let (_, block) = blocks.last_mut().ok_or("a line before any block")?;
                    block.push_str(line);
                    block.push('\n');
                }
                (None, false) => {}
            }
        }
        if open || blocks.is_empty() {
            return Err(format!("blocks do not end, or there are none, in:\n{text}").into());
        }
        Ok(Self { text: text.to_owned(), blocks })
    }

    /// The one block of that kind.
    pub fn block(&self, what: &str) -> Result<&str, Failure> {
        let mut found = self.blocks.iter().filter(|(head, _)| head == what).map(|(_, text)| text.as_str());
        let block = found.next().ok_or_else(|| format!("no block \"{what}\" in:\n{}", self.text))?;
        if found.next().is_some() {
            return Err(format!("two blocks \"{what}\" in:\n{}", self.text).into());
        }
        Ok(block)
    }

    /// The block's objects.
    pub fn objects(&self, what: &str) -> Result<Vec<Value>, Failure> {
        helm::read_yaml(self.block(what)?)
    }

    /// With the words in capitals that a note leaves to its reader filled in, and nothing else changed.
    pub fn filled(&self, words: &[(&str, &str)]) -> Result<Self, Failure> {
        let mut text = self.text.clone();
        for (word, value) in words {
            if !text.contains(word) {
                return Err(format!("no {word} in:\n{text}").into());
            }
            text = text.replace(word, value);
        }
        Self::read(&text)
    }

    /// Without the lines that hold this: to see what holds without them.
    pub fn without(&self, part: &str) -> Result<Self, Failure> {
        let kept: Vec<&str> = self.text.lines().filter(|line| !line.contains(part)).collect();
        if kept.len() == self.text.lines().count() {
            return Err(format!("no line with {part} in:\n{}", self.text).into());
        }
        Self::read(&kept.join("\n"))
    }
}

/// Holds the guide's page to the notes: between the marks of a kind stands what the chart prints. With `UPDATE_GOLDEN` the
/// page is written anew.
pub fn guide_holds(notes: &[(&str, &Note)]) -> Result<(), Failure> {
    let path = repository().join(GUIDE);
    let page = std::fs::read_to_string(&path)?;
    let mut wanted = page.clone();
    for (gateway, note) in notes {
        let (begin, end) = (format!("<!-- note: {gateway} -->\n"), "<!-- end of note -->");
        let (head, rest) = wanted.split_once(&begin).ok_or_else(|| format!("no note for {gateway} in {GUIDE}"))?;
        let (_, tail) = rest.split_once(end).ok_or_else(|| format!("the note for {gateway} has no end in {GUIDE}"))?;
        wanted = format!("{head}{begin}{}\n{end}{tail}", guide_form(&note.text));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &wanted)?;
    } else {
        assert!(page == wanted, "{GUIDE} is not what the chart prints: UPDATE_GOLDEN=1 writes it anew");
    }
    Ok(())
}

/// Markdown wants an empty line around a fenced block; a terminal does not.
fn guide_form(text: &str) -> String {
    let mut out = String::new();
    let mut open = false;
    for line in text.lines() {
        let fence = line.starts_with("```");
        if fence && !open {
            out.push('\n');
        }
        out.push_str(line);
        out.push('\n');
        if fence && open {
            out.push('\n');
        }
        open ^= fence;
    }
    format!("{}\n", out.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_and_words_filled_in() {
        let note =
            Note::read("Put HOST in:\n```yaml values\na: HOST\n```\nand\n```text arguments\n--b\n```\n").expect("read");
        assert_eq!(note.block("yaml values").expect("there"), "a: HOST\n");
        let filled = note.filled(&[("HOST", "x")]).expect("there");
        assert_eq!((filled.block("yaml values").expect("there"), note.block("c").is_err()), ("a: x\n", true));
        assert!(note.filled(&[("PORT", "1")]).is_err() && note.without("c: d").is_err());
        assert_eq!(note.without("a:").expect("there").block("yaml values").expect("empty"), "");
        assert!(Note::read("```yaml\na").is_err());
    }
}
