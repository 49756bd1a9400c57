package io.github.dl4jlora.benchmarks;

import java.util.List;

import static io.github.dl4jlora.benchmarks.Settings.ONE_THREAD;
import static io.github.dl4jlora.benchmarks.Settings.SETTLED;

/** What {@link TextChild} measures. */
enum TextTask {

    STEP("base in FLOAT", ONE_THREAD, false, "step", "FLOAT"),
    STEP_BF16("base in BF16", ONE_THREAD, false, "step", "BF16"),
    STEP_INT8("base in INT8", ONE_THREAD, false, "step", "INT8"),

    PAIRS_32("32 pairs, beyond what was there before", SETTLED, true, "pairs", "32"),
    PAIRS_1024("1,024 pairs, beyond what was there before", SETTLED, true, "pairs", "1024"),
    LONG_AS_FOUND("BERT-base in INT8, 2 texts of 512 tokens, in all, the JVM's defaults", SETTLED, false, "long", "kept"),
    LONG_RECOMPUTED_AS_FOUND("the same, blocks computed again", SETTLED, false, "long", "recomputed"),
    LONG("BERT-base in INT8, 2 texts of 512 tokens, in all", SETTLED, true, "long", "kept"),
    LONG_RECOMPUTED("the same, blocks computed again", SETTLED, true, "long", "recomputed");

    /** A heap that suffices. */
    private static final List<String> BOUNDED = List.of("-Xmx300m");

    private final String title;
    private final Settings settings;
    private final boolean isBounded;
    private final String[] arguments;

    TextTask(String title, Settings settings, boolean isBounded, String... arguments) {
        this.title = title;
        this.settings = settings;
        this.isBounded = isBounded;
        this.arguments = arguments;
    }

    String title() {
        return title;
    }

    boolean isStep() {
        return settings == ONE_THREAD;
    }

    static String bounds() {
        return String.join(" ", BOUNDED);
    }

    /** {@return a process that times a step} */
    TurnTaker turns() {
        return Child.javaTurns(settings, List.of(), TextChild.class, arguments);
    }

    /** {@return bytes} */
    String bytes() {
        return Child.java(settings, isBounded ? BOUNDED : List.of(), TextChild.class, arguments);
    }
}
