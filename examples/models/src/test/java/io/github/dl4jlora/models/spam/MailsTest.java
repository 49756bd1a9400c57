package io.github.dl4jlora.models.spam;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import java.io.FileNotFoundException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

@Tag("minilm")
class MailsTest {

    private static void write(Path folder, String kind, String name, String mail) throws Exception {
        Files.writeString(Files.createDirectories(folder.resolve(kind)).resolve(name), mail);
    }

    @Test
    void foldersTellHamFromSpamAndOtherFilesAreLeftOut(@TempDir Path folder) throws Exception {
        write(folder, "data/easy-ham-1", "1.txt", "Subject: x\n\nham one");
        write(folder, "data/easy-ham-1", "1.json", "{}");
        write(folder, "data/spam_2", "1.txt", "Subject: y\n\nspam one");
        write(folder, "data", "list.txt", "Subject: z\n\nneither");

        Mails mails = Mails.load(folder);

        assertThat(mails.train().size() + mails.test().size()).isEqualTo(2);
        assertThat(concat(mails)).extracting(Mail::text, Mail::spam).containsExactlyInAnyOrder(
                tuple("x ham one", false), tuple("y spam one", true));
    }

    @Test
    @DisabledOnOs(value = OS.WINDOWS, disabledReason = "links need a privilege there")
    void aLinkToAFolderIsThatFolder(@TempDir Path folder) throws Exception {
        write(folder, "mails/ham", "1.txt", "Subject: x\n\nham one");
        write(folder, "mails/spam", "1.txt", "Subject: y\n\nspam one");
        Path link = Files.createSymbolicLink(folder.resolve("link"), folder.resolve("mails"));

        assertThat(Mails.load(link)).isEqualTo(Mails.load(folder.resolve("mails")));
    }

    @Test
    void mailsThatOpenAlikeAreOnOneSideWhateverElseIsThere(@TempDir Path folder) throws Exception {
        for (int i = 0; i < 60; i++) {
            String text = "word " + (char) ('a' + i % 26) + (char) ('a' + i / 26) + " opens this mail";
            write(folder, "ham", i + ".txt", "Subject: s\n\n" + text);
            write(folder, "spam", i + ".txt", "Subject: S!\n\n" + text.toUpperCase() + " 12345 http://example.org/" + i
                    + " someone@example.org");
        }

        Mails mails = Mails.load(folder);

        Set<Long> shared = hashes(mails.train());
        shared.retainAll(hashes(mails.test()));
        assertThat(shared).isEmpty();
        assertThat(hashes(concat(mails))).hasSize(60);
        assertThat(mails.test()).hasSizeBetween(20, 60);
        assertThat(Mails.load(folder)).isEqualTo(mails);
        assertThat(mails.limited(3, 2).train()).isEqualTo(mails.train().subList(0, 3));
    }

    private static Set<Long> hashes(List<Mail> mails) {
        return mails.stream().map(Mail::hash).collect(Collectors.toCollection(HashSet::new));
    }

    private static List<Mail> concat(Mails mails) {
        return Stream.concat(mails.train().stream(), mails.test().stream()).toList();
    }

    @Test
    void missingFoldersAndMissingKindsAreNamed(@TempDir Path folder) throws Exception {
        assertThatThrownBy(() -> Mails.load(folder.resolve("none"))).isInstanceOf(FileNotFoundException.class)
                .hasMessageContainingAll("no folder", "none");
        write(folder, "ham", "1.txt", "Subject: x\n\nham");
        assertThatThrownBy(() -> Mails.load(folder)).isInstanceOf(FileNotFoundException.class)
                .hasMessageContainingAll("1 e-mails, of which 0 in a folder called spam", "ham and spam");
    }
}
