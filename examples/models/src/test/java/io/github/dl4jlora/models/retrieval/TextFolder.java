package io.github.dl4jlora.models.retrieval;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** A folder as fetch-texts.sh fills it, with a little of each. */
final class TextFolder {

    static final List<String> PRESIDENTS = List.of("ada_alder", "ben_birch", "cleo_cedar", "dan_dogwood", "eve_elm", "finn_fir",
            "gus_gum", "hal_hazel");
    private static final List<String> NOUNS = List.of("dog", "ship", "violin", "river", "hammer", "cloud", "apple", "castle",
            "horse", "lamp", "needle", "forest", "clock", "bridge", "drum", "island");

    private TextFolder() {
    }

    static Path fill(Path folder) throws IOException {
        Path wordnet = Files.createDirectories(folder.resolve("wordnet"));
        StringBuilder nouns = new StringBuilder("  1 a licence\n");
        nouns.append("00000000 03 n 01 thing 0 000 | what there is  \n");
        for (int i = 0; i < NOUNS.size(); i++) {
            String noun = NOUNS.get(i);
            nouns.append(String.format(Locale.ROOT, "%08d 03 n 02 %s 0 good_%s 1 001 @ 00000000 n 0000 | a definition of %s; "
                    + "\"an example\"  %n", 10 * i + 10, noun, noun, noun));
            nouns.append(String.format(Locale.ROOT, "%08d 03 n 01 %s 0 002 @ %08d n 0000 ~ 00000000 n 0000 | some %s in green%n",
                    10 * i + 15, noun, 10 * i + 10, noun));
        }
        Files.writeString(wordnet.resolve("data.noun"), nouns);
        Files.writeString(wordnet.resolve("data.verb"),
                "00000001 29 v 01 run_out 4 000 01 + 02 00 | come to an end: \"it ran out\"\n");
        Files.writeString(wordnet.resolve("data.adj"), "00000002 00 a 01 able(p) 0 000 | having the means  \n");
        Files.writeString(wordnet.resolve("data.adv"), "00000003 02 r 01 quickly 0 000 | with speed  \n");
        Path sotu = Files.createDirectories(folder.resolve("sotu"));
        Files.writeString(sotu.resolve("LICENSE"), "a licence");
        for (int i = 0; i < PRESIDENTS.size(); i++) {
            for (int year = 0; year < 2; year++) {
                Files.writeString(sotu.resolve((1800 + 2 * i + year) + "_" + PRESIDENTS.get(i) + "_d.txt"),
                        address(PRESIDENTS.get(i) + year));
            }
        }
        return folder;
    }

    private static String address(String speaker) {
        StringBuilder address = new StringBuilder();
        for (int i = 0; i < 40; i++) {
            address.append("In sentence ").append(i).append(" of this address ").append(speaker).append(" speaks of the ")
                    .append(NOUNS.get(i % NOUNS.size())).append(" and of little else. ");
        }
        return address.toString();
    }
}
