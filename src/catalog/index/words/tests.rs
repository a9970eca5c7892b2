//! The full-text index against a model that looks at every document.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

/// What the words of a document are, in a shape that owns them.
#[derive(Clone, Debug, Default)]
struct Text {
    name: String,
    brand: String,
    category: String,
    tags: Vec<String>,
    description: String,
}

/// Something that happens to an index.
#[derive(Clone, Debug)]
enum Change {
    Insert(Text),
    /// The document in this place of those there are gets another text, or the same.
    Update(usize, Option<Text>),
    Remove(usize),
}

/// An index, the documents it should have, and slots as its owner gives them out.
#[derive(Default)]
struct Pair {
    words: Words,
    model: BTreeMap<u32, Text>,
    next: u32,
}

impl Text {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    fn document(&self) -> Document<'_> {
        Document {
            name: &self.name,
            brand: &self.brand,
            category: &self.category,
            tags: self.tags.iter().map(String::as_str).collect(),
            description: &self.description,
        }
    }

    /// What this scores by the rules as they are written down.
    fn score(&self, query: &str) -> Option<u16> {
        let tags = self.tags.join(" ");
        let fields = [
            &self.name,
            &self.brand,
            &self.category,
            &tags,
            &self.description,
        ];
        let score = |asked: &str| {
            let scores = fields.into_iter().zip([10, 7, 5, 3, 1]);
            let scores = scores.flat_map(|(field, weight)| {
                words_of(field).into_iter().map(move |word| (word, weight))
            });
            let scores = scores.filter(|(word, _)| word.starts_with(asked));
            scores
                .map(|(word, weight)| weight * if word == asked { 2 } else { 1 })
                .max()
        };
        let query = Query::parse(query);
        let scores: Option<Vec<_>> = query.words().map(score).collect();
        scores
            .filter(|scores| !scores.is_empty())
            .map(|scores| scores.iter().sum())
    }
}

impl Pair {
    fn of(texts: &[Text]) -> Self {
        let mut pair = Self::default();
        for text in texts {
            pair.apply(Change::Insert(text.clone()));
        }
        pair
    }

    fn slot(&mut self) -> u32 {
        self.words.reclaim().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    fn insert(&mut self, text: Text) {
        let slot = self.slot();
        assert!(!self.model.contains_key(&slot), "{slot} is taken");
        self.words.insert(slot, &text.document().text());
        self.model.insert(slot, text);
    }

    fn apply(&mut self, change: Change) {
        let nth = |at: usize| self.model.keys().nth(at % self.model.len().max(1)).copied();
        match change {
            Change::Insert(text) => self.insert(text),
            Change::Update(at, text) => {
                let Some(slot) = nth(at) else { return };
                let text = text.unwrap_or_else(|| self.model[&slot].clone());
                self.words.remove(slot);
                self.model.remove(&slot);
                self.insert(text);
            }
            Change::Remove(at) => {
                let Some(slot) = nth(at) else { return };
                self.words.remove(slot);
                self.model.remove(&slot);
            }
        }
    }

    fn search(&self, query: &str) -> BTreeMap<u32, u16> {
        let hits = self.words.search(&Query::parse(query));
        let mut found = BTreeMap::new();
        for (score, set) in hits.classes() {
            assert!(!set.is_empty());
            found.extend(set.iter().map(|slot| (slot, *score)));
        }
        assert_eq!(hits.len(), found.len() as u64, "classes are disjoint");
        found
    }

    fn expected(&self, query: &str) -> BTreeMap<u32, u16> {
        let scores = self.model.iter();
        scores
            .filter_map(|(slot, text)| Some((*slot, text.score(query)?)))
            .collect()
    }
}

fn words_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    fold::words(text, &mut String::new(), &mut |word, _| {
        found.push(word.to_owned());
        true
    });
    found
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["a", "ab", "abc", "abd", "b", "ba", "bab", "c", "usb-c", "USB", "Käse", "5l"])
            .prop_map(str::to_owned),
        1 => "[a-c]{1,4}",
    ]
}

fn words_up_to(most: usize) -> impl Strategy<Value = String> {
    vec(word(), 0..=most).prop_map(|words| words.join(" "))
}

fn text() -> impl Strategy<Value = Text> {
    (
        words_up_to(3),
        words_up_to(1),
        words_up_to(1),
        vec(words_up_to(1), 0..3),
        words_up_to(5),
    )
        .prop_map(|(name, brand, category, tags, description)| Text {
            name,
            brand,
            category,
            tags,
            description,
        })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => text().prop_map(Change::Insert),
        2 => (any::<usize>(), proptest::option::weighted(0.8, text()))
            .prop_map(|(at, text)| Change::Update(at, text)),
        1 => any::<usize>().prop_map(Change::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_found_is_what_looking_at_every_document_finds(
        changes in vec(change(), 1..120), queries in vec(words_up_to(3), 1..6), sweep_at in 0usize..120, shrink_at in 0usize..120,
    ) {
        let mut pair = Pair::default();
        for (at, change) in changes.into_iter().enumerate() {
            pair.apply(change);
            if at == shrink_at {
                pair.words.shrink();
            }
            if at == sweep_at {
                pair.words.begin_sweep();
                pair.words.sweep_some(1);
            }
            for query in &queries {
                prop_assert_eq!(pair.search(query), pair.expected(query), "{}", query);
            }
        }
        pair.words.sweep_all();
        for query in &queries {
            prop_assert_eq!(pair.search(query), pair.expected(query), "{} after a sweep", query);
        }
        // An index that has seen much is as large as one that has seen only what is left.
        let texts: Vec<_> = pair.model.values().cloned().collect();
        prop_assert_eq!(pair.words.terms.len(), Pair::of(&texts).words.terms.len());
    }

    #[test]
    fn a_word_folded_once_stays_as_it_is(text in any::<String>()) {
        for word in words_of(&text) {
            prop_assert!(!word.is_empty());
            prop_assert_eq!(words_of(&word), [word.clone()], "of {:?}", text);
        }
    }

    #[test]
    fn what_marks_and_joints_make_of_a_word_stays_as_it_is(text in "[ab'.\u{816}\u{f7a}\u{301}\u{345}]{0,8}") {
        for word in words_of(&text) {
            prop_assert_eq!(words_of(&word), [word.clone()], "of {:?}", text);
        }
    }

    #[test]
    fn every_word_of_a_document_finds_it(text in any::<String>()) {
        let pair = Pair::of(&[Text::named(&text)]);
        for word in words_of(&text) {
            prop_assert_eq!(pair.search(&word).get(&0).copied(), Some(20), "{:?}", word);
        }
        prop_assert_eq!(pair.search(&text).is_empty(), Query::parse(&text).is_empty());
    }
}

#[test]
fn text_falls_into_words_without_case_and_accents() {
    for (text, expected) in [
        ("", ""),
        ("--- !?", ""),
        ("Frying Pan", "frying pan"),
        ("Caffè Lungo, ÉCLAIR", "caffe lungo eclair"),
        ("Straße STRASSE Łódź", "strasse strasse lodz"),
        ("Smørrebrød Ærø", "smorrebrod aero"),
        ("USB-C", "usb c usbc"),
        ("men's  don\u{2019}t", "men s mens don t dont"),
        ("5l 5 l 7.5", "5l 5 l 7 5 75"),
        ("all-in-one desk", "all in one allinone desk"),
        ("-x- y. z", "x y z"),
        ("and/or A&B", "and or a b"),
        ("Sony™ m² ﬁn", "sony m2 fin"),
        ("ΣΊΣΥΦΟΣ İstanbul", "σισυφοσ istanbul"),
        ("so\u{AD}fa", "sofa"),
        ("हिन्दी 東京 カ", "हिन्दी 東京 カ"),
    ] {
        assert_eq!(words_of(text).join(" "), expected, "{text}");
    }
    let long = "x".repeat(1000);
    assert_eq!(words_of(&long), ["x".repeat(48)]);
}

#[test]
fn heavier_fields_and_whole_words_come_first() {
    let text = |field: usize, text: &str| {
        let mut of = Text::default();
        let to = text.to_owned();
        match field {
            0 => of.name = to,
            1 => of.brand = to,
            2 => of.category = to,
            3 => of.tags = vec!["x".to_owned(), to],
            _ => of.description = to,
        }
        of
    };
    let texts: Vec<_> = (0..5)
        .flat_map(|field| [text(field, "oak"), text(field, "oaken")])
        .collect();
    let pair = Pair::of(&texts);
    let hits = pair.words.search(&Query::parse("oak"));
    let ranked = hits.classes().iter();
    let ranked: Vec<_> = ranked
        .flat_map(|(score, slots)| slots.iter().map(|slot| (*score, slot)))
        .collect();
    assert_eq!(
        ranked,
        [
            (20, 0),
            (14, 2),
            (10, 1),
            (10, 4),
            (7, 3),
            (6, 6),
            (5, 5),
            (3, 7),
            (2, 8),
            (1, 9)
        ]
    );
}

#[test]
fn every_word_of_a_query_has_to_be_met() {
    let pair = Pair::of(&[
        Text::named("Copper Kettle"),
        Text::named("Copper Saucepan"),
        Text::named("USB-C Cable, 2m"),
        Text::named("USB Cable 2 m"),
    ]);
    let found = |query: &str| pair.search(query).into_keys().collect::<Vec<_>>();
    assert_eq!(found("copper"), [0, 1]);
    assert_eq!(found("COPPER kett"), [0]);
    assert_eq!(found("sauce copper copper"), [1]);
    assert_eq!(found("copper steel"), [0; 0]);
    assert_eq!(found("usb-c"), [2, 3]);
    assert!(pair.search("usb-c")[&2] > pair.search("usb-c")[&3]);
    assert_eq!(found("usbc"), [2]);
    assert_eq!(found("2m"), [2]);
    assert_eq!(found(""), [0; 0]);
    assert_eq!(found("!"), [0; 0]);
}

#[test]
fn a_score_does_not_move_while_other_products_come_and_go() {
    let mut pair = Pair::of(&[Text::named("Oak Desk")]);
    let score = pair.search("oak de")[&0];
    for _ in 0..200 {
        pair.insert(Text::named("Oak Desk Oak Shelf"));
    }
    assert_eq!(pair.search("oak de")[&0], score);
}

#[test]
fn slots_come_back_once_they_are_swept_and_the_bytes_with_them() {
    let mut pair = Pair::default();
    let mut peak = 0;
    for round in 0..20_u32 {
        for number in 0..LEAST_MARKED {
            pair.insert(Text::named(&format!("item m{round}x{number} of many")));
        }
        peak = peak.max(pair.words.bytes());
        for _ in 0..LEAST_MARKED {
            pair.apply(Change::Remove(0));
        }
    }
    assert!(
        pair.next < 5 * LEAST_MARKED,
        "{} slots for {LEAST_MARKED} documents at a time",
        pair.next
    );
    pair.words.sweep_all();
    assert_eq!((pair.words.terms.len(), pair.words.terms.bytes()), (0, 0));
    assert_eq!(
        (pair.words.initials.len(), pair.words.initials.bytes()),
        (0, 0)
    );
    assert!(
        pair.words.bytes() < peak / 4,
        "{} of {peak}",
        pair.words.bytes()
    );
}

#[test]
fn a_slot_that_is_given_out_too_early_is_emptied_first() {
    let mut pair = Pair::of(&[Text::named("red tent"), Text::named("blue tent")]);
    pair.words
        .insert(0, &Text::named("green lamp").document().text());
    assert!(pair.search("red").is_empty());
    pair.words.remove(1);
    pair.words
        .insert(1, &Text::named("grey lamp").document().text());
    assert_eq!(pair.search("tent").len() + pair.search("blue").len(), 0);
    assert_eq!(pair.search("lamp").into_keys().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn rounds_are_told_apart_when_their_numbers_run_out() {
    let mut pair = Pair::default();
    pair.insert(Text::named("oak"));
    for round in [u32::MAX - 1, u32::MAX] {
        pair.words.round = round;
        pair.insert(Text::named("oak desk oak"));
    }
    pair.insert(Text::named("oak"));
    assert_eq!(pair.search("oak").len(), 4);
    assert_eq!(pair.search("o"), pair.expected("o"));
}

#[test]
fn many_documents_of_a_word_take_the_bytes_that_they_take() {
    let mut pair = Pair::default();
    for number in 0..1_000 {
        pair.insert(Text::named(&format!("oak n{}", number % 10)));
    }
    let grown = pair.words.bytes();
    pair.words.shrink();
    assert!(pair.words.bytes() < grown);
    for _ in 0..1_000 {
        pair.apply(Change::Remove(0));
    }
    pair.words.sweep_all();
    assert_eq!(
        (pair.words.terms.bytes(), pair.words.initials.bytes()),
        (0, 0)
    );
}

#[test]
fn a_text_without_end_has_its_first_words_indexed() {
    let words: Vec<_> = (0..MAX_WORDS + 10).map(|n| format!("w{n}")).collect();
    let pair = Pair::of(&[Text::named(&words.join(" "))]);
    assert_eq!(pair.words.terms.len(), MAX_WORDS);
    assert!(pair.search(&format!("w{}", MAX_WORDS + 5)).is_empty());
}
