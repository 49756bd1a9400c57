package io.github.dl4jlora.examples.evidence;

import io.github.dl4jlora.Threads;
import io.github.dl4jlora.examples.Program;
import io.github.dl4jlora.examples.evidence.claim.BestRates;
import io.github.dl4jlora.examples.evidence.task.*;
import java.nio.file.*;
import java.util.*;

public final class EvidenceCommand {
    public static void main(String[] a) throws Exception {
        Threads.settle();
        long t = System.nanoTime();
        Lab lab = new Lab(2, false, x -> System.err.println(x));
        TurnedDigits d = a[0].contains("d") ? new TurnedDigits() : null;
        TurnedFashion f = a[0].contains("f") ? new TurnedFashion(Path.of("/tmp/fm2/x")) : null;
        Shakespeare s = a[0].contains("s") ? new Shakespeare() : null;
        Finding x = new BestRates(d, f, s).examine(lab);
        x.blocks().forEach(System.out::println);
        x.checks().forEach(System.out::println);
        for (var e : x.plots().entrySet()) Files.writeString(Path.of("/tmp/ev-" + e.getKey() + ".svg"), e.getValue().svg());
        System.out.println((System.nanoTime() - t) / 1e9);
    }
}
