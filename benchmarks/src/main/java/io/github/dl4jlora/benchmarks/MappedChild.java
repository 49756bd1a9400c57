package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/**
 * A child process: prints the seconds from before a mapped base is opened to after its first output, of one row; then, when the
 * given number of processes have come so far, this process's share of the file's pages in memory, and of all memory (Linux's
 * Pss). With a scheme as argument instead, writes the file.
 */
final class MappedChild {

    private static final long WAIT_NANOS = 20_000_000;

    private MappedChild() {
    }

    public static void main(String[] args) throws IOException {
        Path file = Path.of(args[1]);
        Shape shape = Shape.decode(args[0]);
        if (args.length == 3) {
            LoRA.writeBase(Networks.base(shape, false), file, args[2].equals("FLOAT") ? null : Quantization.valueOf(args[2]));
            System.out.println(Child.RESULT + "written");
            System.exit(0);
        }
        Path meeting = Path.of(args[2]);
        int processes = Integer.parseInt(args[3]);
        // What ND4J and Java take to start is allocated before.
        Shape small = Shape.square(64, 1, 1, 8, "Adam");
        LoRA.freeze(Networks.base(small, false), Quantization.INT8).output(Networks.batch(small).getFeatures());
        var row = Networks.batch(shape).getFeatures();
        long begin = System.nanoTime();
        MultiLayerNetwork base = (MultiLayerNetwork) LoRA.openBase(file);
        base.output(row);
        double seconds = (System.nanoTime() - begin) / 1e9;
        meet(meeting, "open", processes);
        System.out.println(Child.RESULT + seconds + " " + Memory.share(file.getFileName().toString()) + " " + Memory.share(""));
        // A process that ended now would leave its share to the others.
        meet(meeting, "measured", processes);
        base.output(row);
        System.exit(0);
    }

    private static void meet(Path meeting, String stage, int processes) throws IOException {
        Files.createFile(meeting.resolve(stage + "-" + ProcessHandle.current().pid()));
        for (long here = 0; here < processes;) {
            LockSupport.parkNanos(WAIT_NANOS);
            try (Stream<Path> files = Files.list(meeting)) {
                here = files.filter(path -> path.getFileName().toString().startsWith(stage)).count();
            }
        }
    }
}
