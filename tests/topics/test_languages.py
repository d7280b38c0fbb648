"""Stop words by language: found by the texts themselves, left out in texts of that language only."""

import numpy as np
import pytest
from pydantic import ValidationError

from tests.topics.test_stages import Corpus, run_all
from transforms.files import read_table
from transforms.topics import (
    LanguagesTask,
    TopicsOptions,
    c_tf_idf,
    choose_terms,
    count_terms,
    find_languages,
    known_languages,
)
from transforms.topics.naming.find_languages import found_languages, sample_below
from transforms.topics.naming.languages import languages_of_corpus
from transforms.topics.naming.terms import count_languages
from transforms.topics.naming.words import joined, pieces

# Written for this test: the same three things in three languages.
TEXTS = {
    "en": [
        "The server does not send any mail to the users of our company because the disk is full.",
        "We have to replace the disk of the server and then restore the mail of all users.",
        "Where is the invoice that I should have got with my order from the shop?",
        "The invoice of the shop was for another order and not for mine.",
        "This is how you bake bread: mix the flour with water and let the dough rest.",
        "If the dough is too wet for your bread, then add some more flour to it.",
    ],
    "de": [
        "Der Server schickt keine Nachrichten an die Benutzer, weil die Festplatte voll ist.",
        "Wir müssen die Festplatte des Servers tauschen und dann die Nachrichten der Benutzer wiederherstellen.",
        "Wo ist die Rechnung, die ich mit meiner Bestellung aus dem Laden bekommen haben sollte?",
        "Die Rechnung des Ladens war für eine andere Bestellung und nicht für meine.",
        "So backt man Brot: das Mehl mit dem Wasser mischen und den Teig ruhen lassen.",
        "Wenn der Teig für das Brot zu feucht ist, dann gibt man noch etwas Mehl dazu.",
    ],
    "fr": [
        "Le serveur n'envoie pas de courrier aux utilisateurs parce que le disque est plein.",
        "Il faut remplacer le disque du serveur et puis restaurer le courrier de tous les utilisateurs.",
        "Où est la facture que j'aurais dû recevoir avec ma commande de la boutique ?",
        "La facture de la boutique était pour une autre commande et ce n'est pas la mienne.",
        "C'est ainsi qu'on fait du pain : mélanger la farine avec l'eau et laisser la pâte reposer.",
        "Si la pâte est trop humide pour le pain, alors on y ajoute encore un peu de farine.",
    ],
}
_FUNCTION_WORDS = """
the of and to is was with for not that this how if then where my our we you it i some more from
der die das des dem den und ist war mit für nicht wo wenn dann so man wir ich zu an weil eine meine meiner aus noch
le la les du de des un une et est pas avec pour où que si on il y ce qu'on n'est c'est l'eau j'aurais parce puis aux encore"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def terms_of(texts, topics, languages, ngram_max=3):
    counts = count_terms(texts, topics, ngram_max, languages)
    of_topic = np.bincount(counts["topic_id"].to_numpy() + 1, counts["occurrences"].to_numpy()).astype(int)
    return choose_terms(c_tf_idf(counts, of_topic), int(topics.max()) + 1, 10, 0.1)


def test_no_function_word_of_any_language_is_a_term():
    texts = [text for some in TEXTS.values() for text in some]
    topics = np.repeat(np.arange(9), 2)  # by language and subject
    for found in terms_of(texts, topics, ("de", "en", "fr")):
        assert len(found.terms) > 0
        for term in found.terms:
            assert not FUNCTION_WORDS & set(term.split()), found.terms
    german = terms_of(texts, topics, ("de", "en", "fr"))[3].terms
    assert {"festplatte", "nachrichten", "benutzer"} <= set(german)
    # The test can fail: with one language's list the others' words are terms.
    english_only = {word for found in terms_of(texts, topics, ("en",)) for term in found.terms for word in term.split()}
    assert {"die", "la"} <= english_only


def test_languages_are_found():
    texts = [text for some in TEXTS.values() for text in some]
    counts = count_languages(texts)
    assert {code: int(count) for code, count in zip(known_languages(), counts, strict=True) if count} == {
        "de": 6, "en": 6, "fr": 6
    }  # fmt: skip
    assert languages_of_corpus(counts, len(texts)) == ("de", "en", "fr")


@pytest.mark.parametrize("texts", [[], [""], ["git config parser yaml", "i64 null 2024 !!! a b c"], ["机器学习"]])
def test_nothing_to_tell_a_language_by_is_english(texts):
    assert languages_of_corpus(count_languages(texts), len(texts)) == ("en",)


def test_a_few_texts_of_a_language_are_not_one_of_the_corpus():
    counts = np.zeros(len(known_languages()), int)
    counts[known_languages().index("en")], counts[known_languages().index("ms")] = 990, 9
    assert languages_of_corpus(counts, 1000) == ("en",)
    counts[known_languages().index("ms")] = 10
    assert languages_of_corpus(counts, 1000) == ("en", "ms")


def test_a_word_is_a_stop_word_in_its_own_language_only():
    texts = ["Civilians die in a war that is not of their own making, and they die for nothing."] * 2
    texts += ["Die Lehrer war nicht da, und so war die Schule aus."] * 2
    english, german = terms_of(texts, np.array([0, 0, 1, 1]), ("de", "en"))
    words = {word for term in english.terms for word in term.split()}
    assert {"die", "war"} <= words
    assert not {"die", "war", "und"} & {word for term in german.terms for word in term.split()}
    # Where the language cannot be told all lists count.
    (unknown,) = terms_of(["war film", "war film"], np.array([0, 0]), ("de", "en"))
    assert unknown.terms == ("film",)


def test_elided_articles_are_pieces_of_their_own():
    assert pieces("L'eau, qu'on a jusqu’ici; dell'arte don't o'clock aujourd'hui d'") == [
        "l'", "eau", ",", "qu'", "on", "a", "jusqu’", "ici", ";", "dell'", "arte", "don't", "o'clock", "aujourd'hui", "d", "'"
    ]  # fmt: skip


def test_chinese_and_japanese_terms_are_runs_of_characters():
    assert pieces("Python语言和コンピュータの学習。") == ["python", "语", "言", "和", "コンピュータ", "の", "学", "習", "。"]
    assert joined("机", "器") == "机器"
    assert joined("python", "语") == "python 语"
    texts = ["机器学习是人工智能的一个分支。", "机器学习的模型。", "我们用机器学习。"]
    found = languages_of_corpus(count_languages(texts), 3)
    assert found == ("zh",)
    (terms,) = terms_of(texts, np.zeros(3, int), found)
    # 的, 是 and 我们 are stop words; three characters are the longest term, and one of 机器学 and 器学习 is enough.
    assert terms.terms[0] == "器学习"
    assert set(terms.terms) <= {"器学习", "机器"}


def test_a_stage_finds_the_languages_whatever_the_parts(tmp_path):
    def languages(parts):
        corpus = Corpus(tmp_path / f"{parts}", [6, 6, 6], parts)
        texts = iter([text for some in TEXTS.values() for text in some] * 2)
        records = []
        for part, file in enumerate(corpus.passages):
            table = read_table(file.path)
            own = [next(texts) for _ in range(table.num_rows)]
            counted = count_languages(own)
            record = find_languages(LanguagesTask(part, (file,), sample_below(18)), TopicsOptions())
            assert record.texts == table.num_rows
            records.append(type(record)(part, record.texts, tuple(counted.tolist())))
        return found_languages(records[::-1])

    assert languages(1) == languages(4) == ("de", "en", "fr")


def test_a_large_corpus_is_sampled_by_hash():
    assert sample_below(20_000) == sample_below(1) == (1 << 63) - 1
    assert sample_below(2_000_000) == (1 << 63) // 100


def test_the_stage_says_which_languages_it_found(tmp_path):
    _, published = run_all(Corpus(tmp_path, [90, 60, 40], 3), tmp_path / "out")
    assert published.languages == ("en",)


def test_languages_of_the_options():
    assert TopicsOptions(languages=["fr", "de"]).languages == ("de", "fr")
    with pytest.raises(ValidationError, match="'xx' has no list of stop words: there are af ar"):
        TopicsOptions(languages=["de", "xx"])
    with pytest.raises(ValidationError, match="'de' is listed twice"):
        TopicsOptions(languages=["de", "de"])
