package io.github.dl4jlora;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** The Python that tests compare with. */
public final class Python {

    public static final String PROGRAM = "/usr/bin/python3";

    private Python() {
    }

    /** Skips the tests where there is none, or it lacks one of these modules. */
    public static void require(String... modules) throws IOException, InterruptedException {
        String names = String.join(", ", modules);
        assumeTrue(Files.isExecutable(Path.of(PROGRAM)), "there is no " + PROGRAM);
        Process probe = new ProcessBuilder(PROGRAM, "-c", "import " + names).redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
        assumeTrue(probe.waitFor(10, TimeUnit.MINUTES) && probe.exitValue() == 0, PROGRAM + " lacks one of " + names);
    }
}
