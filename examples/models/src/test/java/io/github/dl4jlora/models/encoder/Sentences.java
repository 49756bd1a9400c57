package io.github.dl4jlora.models.encoder;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** 200 texts that differ in every way that a tokenizer or an encoder could mind. */
final class Sentences {

    static final int COUNT = 200;

    private static final List<String> HAND_MADE = List.of(
            "", " ", "\n\t\r\n", "a", ".", "?!", "The quick brown fox jumps over the lazy dog.",
            "the quick brown fox jumps over the lazy dog", "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
            "I can't believe it's not butter!", "e-mail: someone@example.org, http://example.org/a?b=c&d=%20",
            "3.14159 26,535 1e-9 0x7f -273.15 °C ½ ² ₂ Ⅷ", "€5, £6, ¥7, $8.00, 9 ₽", "naïve café façade über Ångström señor",
            "na\u0069\u0308ve cafe\u0301", "Grüße aus Köln, Straße, ẞ", "Привет, как дела?", "Γειά σου Κόσμε", "שלום עולם",
            "مرحبا بالعالم", "こんにちは世界。カタカナも", "你好，世界", "한국어 문장입니다", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Chào thế giới",
            "ქართული ენა", "አማርኛ", "😀", "I ❤️ this 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪", "🤖🤖🤖🤖🤖🤖🤖🤖", "text\u0000with\u0007control\u001bcharacters",
            "zero\u200bwidth\u200dand\ufeffmarks", "non\u00a0breaking\u3000spaces", "\ud835\udd4f mathematical 𝒂𝒍𝒑𝒉𝒂𝒃𝒆𝒕 𝟙𝟚𝟛",
            "lone surrogate replaced: \ufffd", "[CLS] [SEP] [PAD] [UNK] [MASK]", "[MASK] is the capital of France", "##ing ##ed",
            "supercalifragilisticexpialidocious",
            "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
            "a".repeat(99), "a".repeat(100), "a".repeat(101), "x".repeat(3000), "ab ".repeat(400), "! ".repeat(600),
            "word ".repeat(125), "word ".repeat(126), "word ".repeat(127), "word ".repeat(509), "word ".repeat(510),
            "word ".repeat(511),
            "FREE!!! Click HERE to claim your $1,000,000 prize NOW!!!",
            "<html><body bgcolor=\"#ffffff\"><b>Hello</b></body></html>",
            "public static void main(String[] args) { System.out.println(\"hi\"); }",
            "SELECT * FROM users WHERE id = 1; -- comment",
            "It was a bright cold day in April, and the clocks were striking thirteen.",
            "To be, or not to be: that is the question.",
            "Buffalo buffalo Buffalo buffalo buffalo buffalo Buffalo buffalo.", "No. No! No? No…",
            "“Quotes” ‘single’ «guillemets» —dash–");

    private static final String[] WORDS =
            ("time person year way day thing man world life hand part child eye woman place work week case "
            + "point government company number group problem fact be have do say get make go know take see come think look "
            + "want give use find tell ask seem feel try leave call good new first last long great little own other old right "
            + "big high different small large next early young important few public bad same able to of in for on with at by "
            + "from up about into over after the and a that I it not he as you this but his they her she or an will my one all "
            + "would there their").split(" ");

    private Sentences() {
    }

    /** The hand-made ones, and random ones of 1 to 60 words. */
    static List<String> all() {
        List<String> all = new ArrayList<>(HAND_MADE);
        Random random = new Random(20);
        while (all.size() < COUNT) {
            StringBuilder sentence = new StringBuilder();
            int words = 1 + random.nextInt(60);
            for (int i = 0; i < words; i++) {
                sentence.append(i == 0 ? "" : random.nextInt(9) == 0 ? ", " : " ").append(WORDS[random.nextInt(WORDS.length)]);
            }
            all.add(sentence.append('.').toString());
        }
        return all;
    }
}
