package io.github.dl4jlora.internal.keras;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.internal.stored.StreamedBase;
import io.github.dl4jlora.internal.stored.StreamedModel;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** By how much a process grows that reads a base layer by layer; on Linux. */
public final class Growth {

    private Growth() {
    }

    /**
     * In a JVM of its own with a heap of 48 MB, which no limit makes collect.
     *
     * @param keep whether the values are kept, or closed layer by layer
     * @return bytes
     */
    public static long of(File file, boolean keep, Path log) throws IOException, InterruptedException {
        List<String> lines = ChildJvm.runIn(Map.of(), ChildJvm.classpath(), List.of(ChildJvm.SHORT, "-Xms48m", "-Xmx48m",
                "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC",
                "-Dorg.bytedeco.javacpp.maxbytes=4g", "-Dorg.bytedeco.javacpp.maxphysicalbytes=4g"),
                log, Growth.class, file.getPath(), String.valueOf(keep));
        return Long.parseLong(lines.get(lines.size() - 1));
    }

    /** @param words the file, and whether to keep its values */
    public static void main(String[] words) throws IOException {
        File file = new File(words[0]);
        StreamedBase streamed = StreamedKeras.recognises(file) ? StreamedKeras.open(file) : StreamedModel.open(file);
        Nd4j.ones(10, 10).mmul(Nd4j.ones(10, 10));
        long before = most();
        List<INDArray> kept = new ArrayList<>();
        streamed.forEach((layer, values) -> {
            if (Boolean.parseBoolean(words[1])) {
                kept.add(values);
            } else {
                values.close();
            }
        });
        System.out.println(most() - before);
    }

    /** The largest size so far: a system may take pages away again that nobody has used for a while. */
    private static long most() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmHWM:")).mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
                    .findFirst().orElseThrow() * 1024;
        }
    }
}
