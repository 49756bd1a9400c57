package io.github.dl4jlora.internal.untrusted;

import java.util.Collection;
import java.util.List;

/** A few of many names that anybody may have chosen, for messages. */
public final class Few {

    private static final int MOST = 10;

    private Few() {
    }

    /** {@return a list such as {@code [a, b]}; of more than ten names the first ten, and how many more there are} */
    public static String of(Collection<String> names) {
        List<String> first = names.stream().limit(MOST).map(UntrustedJson::line).toList();
        return names.size() <= MOST ? first.toString() : first + " and " + (names.size() - MOST) + " more";
    }
}
