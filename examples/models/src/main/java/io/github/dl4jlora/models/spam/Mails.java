package io.github.dl4jlora.models.spam;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * E-mails to learn from and e-mails to be tested on. A mail's side depends on nothing but its own opening, so mails that
 * open alike are on one side, whatever else is in the folder.
 */
record Mails(List<Mail> train, List<Mail> test) {

    private static final int DEEPEST = 4;
    /** One in so many is for testing. */
    private static final int TEST_SHARE = 3;

    /**
     * @param folder of files in folders called ham and spam, or easy-ham-1, spam-2 and the like
     * @throws IOException if there are none of either
     */
    static Mails load(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new FileNotFoundException("There is no folder " + folder.toAbsolutePath().normalize());
        }
        List<Path> files;
        try (Stream<Path> found = Files.walk(folder.toRealPath(), DEEPEST)) {
            files = found.filter(Mails::isMail).sorted().toList();
        }
        List<Mail> mails = new ArrayList<>();
        for (Path file : files) {
            String text = MailText.of(Files.readString(file, StandardCharsets.ISO_8859_1));
            if (!text.isEmpty()) {
                mails.add(new Mail(text, kind(file).equals("spam")));
            }
        }
        if (mails.stream().noneMatch(Mail::spam) || mails.stream().allMatch(Mail::spam)) {
            throw new FileNotFoundException("Below " + folder.toAbsolutePath().normalize()
                    + " are " + mails.size() + " e-mails, of which "
                    + mails.stream().filter(Mail::spam).count()
                    + " in a folder called spam; expected text files in folders ham and spam");
        }
        return split(mails);
    }

    /** In an order that is random, but the same every time. */
    private static Mails split(List<Mail> mails) {
        List<Mail> ordered = mails.stream().sorted(Comparator.comparingLong(Mail::hash)).toList();
        return new Mails(ordered.stream().filter(mail -> !isForTest(mail)).toList(),
                ordered.stream().filter(Mails::isForTest).toList());
    }

    private static boolean isForTest(Mail mail) {
        return Math.floorMod(mail.hash(), TEST_SHARE) == 0;
    }

    private static boolean isMail(Path file) {
        String name = file.getFileName().toString();
        return Files.isRegularFile(file) && !name.startsWith(".") && !name.endsWith(".json") && !kind(file).isEmpty();
    }

    /** ham, spam or nothing, from the folder a file lies in. */
    private static String kind(Path file) {
        List<String> words = Arrays.asList(file.toAbsolutePath().getParent().getFileName().toString().toLowerCase(Locale.ROOT)
                .split("[^a-z]+"));
        return words.contains("ham") ? "ham" : words.contains("spam") ? "spam" : "";
    }

    /** The first mails of either side. */
    Mails limited(int trained, int tested) {
        return new Mails(train.subList(0, Math.min(trained, train.size())), test.subList(0, Math.min(tested, test.size())));
    }
}
