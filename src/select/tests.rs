use proptest::prelude::*;

use super::*;

const ID: &str = "5fd1cafff895419c8bcc647fc64ab8f0";

fn namespace(id: &str, name: &str, script: &str, class: &str) -> Namespace {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Namespace {
        id: id.parse().unwrap(),
        name: some(name),
        script: some(script),
        class: some(class),
        use_sqlite: None,
        preview: None,
    }
}

fn arguments(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

/// `["script=chat-*", "class=Room"]` as one table of the file.
fn table(keys: &[&str]) -> Pattern {
    let mut parts = Parts::default();
    for key in keys {
        let (key, value) = key.split_once('=').unwrap();
        match key {
            "id" => parts.id = Some(value.parse().unwrap()),
            "name" => parts.name = Some(value.to_owned()),
            "script" => parts.script = Some(value.to_owned()),
            "class" => parts.class = Some(value.to_owned()),
            other => panic!("{other}"),
        }
    }
    Pattern::all_of(parts).unwrap()
}

#[test]
fn an_argument_is_an_id_or_a_glob_on_the_name() {
    let ns = namespace(ID, "prod-chat/rooms_Room", "prod-chat", "Room");
    let local = namespace("worker-Room", "", "", "");
    let cases = [
        (&ns, ID, true),
        (&ns, "5fd1*", false),
        (&ns, "prod-*", true),
        (&ns, "*Room", true),
        (&ns, "PROD-*", false),
        (&ns, "{dev,prod}-chat*", true),
        (&ns, "prod-chat", false),
        (&ns, "Room", false),
        (&local, "worker-Room", true),
        (&local, "*", false),
    ];
    for (ns, text, expected) in cases {
        assert_eq!(arguments(&[text])[0].matches(ns), expected, "{text}");
    }
}

#[test]
fn a_tables_keys_have_to_hold_together_and_missing_values_never_match() {
    let room = namespace(ID, "chat-eu_Room", "chat-eu", "Room");
    let bare = namespace(ID, "", "", "");
    let cases: [(&Namespace, &[&str], bool); 9] = [
        (&room, &["script=chat-*", "class=Room"], true),
        (&room, &["script=chat-*", "class=Lobby"], false),
        (&room, &["name=chat-*"], true),
        (&room, &["id=5fd1cafff895419c8bcc647fc64ab8f0", "class=Room"], true),
        (&room, &["id=5fd1cafff895419c8bcc647fc64ab8f0", "class=Lobby"], false),
        (&bare, &["id=5fd1cafff895419c8bcc647fc64ab8f0"], true),
        (&bare, &["script=*"], false),
        (&bare, &["class=*"], false),
        (&bare, &["name=*"], false),
    ];
    for (ns, keys, expected) in cases {
        assert_eq!(table(keys).matches(ns), expected, "{keys:?}");
    }
}

#[test]
fn excludes_count_unless_the_id_is_given() {
    let preview = namespace(ID, "x-preview-1_Room", "x-preview-1", "Room");
    let exclude = vec![table(&["script=*-preview-*"])];
    let cases = [
        (vec![], false),
        (arguments(&["*"]), false),
        (arguments(&["x-preview-1_Room"]), false),
        (arguments(&[ID]), true),
        (vec![table(&["id=5fd1cafff895419c8bcc647fc64ab8f0"])], true),
        (
            vec![
                table(&["id=5fd1cafff895419c8bcc647fc64ab8f0", "class=Lobby"]),
                table(&["class=Room"]),
            ],
            false,
        ),
    ];
    for (include, expected) in cases {
        let selection = Selection {
            include,
            exclude: exclude.clone(),
        };
        assert_eq!(selection.selects(&preview), expected, "{:?}", selection.include);
    }
}

#[test]
fn nothing_asked_for_means_everything() {
    assert!(Selection::default().selects(&namespace("worker-Room", "", "", "")));
}

#[test]
fn patterns_that_match_nothing_are_named_as_written() {
    let mut include = arguments(&["prod-*", "dev-*"]);
    include.push(table(&["id=a", "script=chat-*", "class=Room"]));
    let selection = Selection {
        include,
        exclude: arguments(&["old-*"]),
    };
    let listed = [namespace("1", "prod-a", "", "")];
    assert_eq!(
        selection.unmatched(&listed),
        ["dev-*", r#"id = "a", script = "chat-*", class = "Room""#]
    );
}

#[test]
fn bad_patterns_are_named() {
    let message = |text: &str| text.parse::<Pattern>().unwrap_err().to_string();
    assert_eq!(
        message("prod-["),
        "'prod-[' is not a glob: unclosed character class; missing ']'"
    );
    assert_eq!(
        message(""),
        "a pattern is empty: remove it, or use '*' to match any value"
    );
    assert_eq!(Pattern::all_of(Parts::default()).unwrap_err(), InvalidPattern::NoKeys);
}

proptest! {
    #[test]
    fn a_plain_name_matches_itself_and_its_prefix_glob_only(name in "[a-zA-Z0-9_/.-]{1,40}", other in "[a-zA-Z0-9_/.-]{1,40}") {
        let ns = namespace("id with spaces", &name, "", "");
        prop_assert!(arguments(&[&name])[0].matches(&ns));
        prop_assert_eq!(arguments(&[&other])[0].matches(&ns), name == other);
        let prefix = format!("{other}*");
        prop_assert_eq!(arguments(&[&prefix])[0].matches(&ns), name.starts_with(&other));
    }

    #[test]
    fn no_text_makes_a_pattern_panic(text in "\\PC*") {
        let _ = text.parse::<Pattern>();
    }
}

#[test]
fn only_a_similar_name_is_suggested() {
    let names = ["chat_Room", "game_Leaderboard"];
    for (asked, told) in [
        ("chat_Rom", " (did you mean chat_Room?)"),
        ("game_leaderboard", " (did you mean game_Leaderboard?)"),
        ("inventory", ""),
    ] {
        assert_eq!(near(&[asked.to_owned()], names.into_iter()), told, "{asked}");
    }
}
