//! Every rule in `tests/named_rules.tsv` has a test whose name carries its id.

use std::collections::BTreeSet;
use std::path::Path;

use conclave_tests::{Failure, repository};

/// Names of all test functions below a directory.
fn tests_below(directory: &Path, names: &mut BTreeSet<String>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            tests_below(&path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(tests_in(&std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Functions that stand under a test attribute.
fn tests_in(text: &str) -> Vec<String> {
    let mut under_test = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            under_test |= line.contains("test]") || line.contains("test(");
            continue;
        }
        let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        if let (Some(name), true) = (name, under_test) {
            names.push(name.to_owned());
        }
        under_test &= line.starts_with("//");
    }
    names
}

/// Whether `id` stands in `name` as whole words.
fn carries(name: &str, id: &str) -> bool {
    format!("_{name}_").contains(&format!("_{id}_"))
}

#[test]
fn named_rules_have_tests() -> Result<(), Failure> {
    let root = repository();
    let mut names = BTreeSet::new();
    for package in ["proto", "raft", "node", "tests"] {
        for part in ["src", "tests"] {
            let directory = root.join(package).join(part);
            if directory.exists() {
                tests_below(&directory, &mut names)?;
            }
        }
    }
    let list = std::fs::read_to_string(root.join("tests/named_rules.tsv"))?;
    let rules: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    let ids = rules.iter().map(|line| line.split('\t').next().unwrap_or_default());
    let missing: Vec<&str> = ids.filter(|id| !names.iter().any(|name| carries(name, id))).collect();
    println!("{} rules, {} tests", rules.len(), names.len());
    assert!(missing.is_empty(), "no test is named after {missing:?}");
    Ok(())
}

#[test]
fn an_id_counts_as_a_whole_and_under_a_test_attribute_only() {
    assert!(carries("s_01_ghsa_x_backslash", "s_01") && !carries("s_010_x", "s_01") && !carries("xs_01", "s_01"));
    let other = format!("#[{}::test]", "actix_web");
    let text = format!("#[test]\n/// Why.\nfn s_01_a() {{}}\nfn s_02_b() {{}}\n{other}\nasync fn s_03_c() {{}}");
    assert_eq!(tests_in(&text), ["s_01_a", "s_03_c"]);
}
