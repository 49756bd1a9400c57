package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.untrusted.SpooledZip;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** A program that writes all the time, whatever ends it; see {@link EndedProgramTest}. */
final class EndedWriter {

    static final String READY = "ready";
    static final int PIECES = 200;

    private static final byte[] PIECE = new byte[1 << 12];

    private EndedWriter() {
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        Path folder = Path.of(arguments[1]);
        switch (arguments[0]) {
            case "plain" -> plain(folder);
            case "late" -> late();
            case "in-place" -> inPlace(folder.resolve("held"));
            case "hooked" -> hooked(folder.resolve("held"));
            case "waiting" -> AtomicFile.writeFolder(folder.resolve("held"), Pairs.of(2));
            default -> networks(folder);
        }
    }

    /** Ends while it makes many files, which nobody waits for. */
    private static void late() {
        CountDownLatch ending = new CountDownLatch(1);
        Thread maker = new Thread(() -> {
            try {
                ending.await();
                Temporary.folder("late", IntStream.range(0, 2000).mapToObj(String::valueOf).toList());
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        maker.setDaemon(true);
        maker.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            ending.countDown();
            while (Path.of(System.getProperty("java.io.tmpdir")).toFile().list().length == 0) {
                Thread.onSpinWait();
            }
        }));
        System.exit(0);
    }

    private static void saveInPlace(Path folder, Map<String, AtomicFile.Content> files) throws IOException {
        new FolderSave(folder, files, false, new FolderSteps() {
            @Override
            public boolean mayExchange(Path any) {
                return false;
            }
        }).run();
    }

    /** Ends while it writes into a folder that it cannot exchange for another. */
    private static void inPlace(Path folder) throws IOException, InterruptedException {
        AtomicFile.writeFolder(folder, Pairs.of(1));
        CountDownLatch ending = new CountDownLatch(1);
        Map<String, AtomicFile.Content> files = Pairs.of(2);
        AtomicFile.Content whole = files.get(Pairs.FIRST);
        files.put(Pairs.FIRST, out -> {
            ending.countDown();
            pause(300);
            whole.writeTo(out);
        });
        Thread writer = new Thread(() -> {
            try {
                saveInPlace(folder, files);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        writer.setDaemon(true);
        writer.start();
        ending.await();
        System.exit(0);
    }

    /** Saves in place while it ends, and ends only when somebody lets it. */
    private static void hooked(Path folder) throws IOException {
        AtomicFile.writeFolder(folder, Pairs.of(1));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                saveInPlace(folder, Pairs.of(2));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            ready(0);
            while (!Files.exists(folder.resolveSibling("go-on"))) {
                pause(5);
            }
        }));
        System.exit(0);
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void plain(Path folder) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            zip.setLevel(0);
            zip.putNextEntry(new ZipEntry("a"));
            pieces(zip);
        }
        Files.createDirectory(folder.resolve("replaced"));
        Files.writeString(folder.resolve("replaced/README.md"), "of the user");
        for (int i = 0; ; i++) {
            AtomicFile.write(folder.resolve("file"), EndedWriter::pieces);
            AtomicFile.writeFolder(folder.resolve("replaced"), Pairs.of(i));
            AtomicFile.writeFolder(folder.resolve("folder-" + i), Map.of("a", EndedWriter::pieces, "b", EndedWriter::pieces));
            SpooledZip.of(new ByteArrayInputStream(bytes.toByteArray()), Set.of("a", "b")).close();
            try (Temporary temporary = Temporary.file("fetched", ".zip");
                    OutputStream out = Files.newOutputStream(temporary.path(), StandardOpenOption.WRITE)) {
                pieces(out);
            }
            ready(i);
        }
    }

    private static void pieces(OutputStream out) throws IOException {
        for (int i = 0; i < PIECES; i++) {
            out.write(PIECE);
        }
    }

    private static void networks(Path folder) throws IOException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(700).nOut(700).build())
                .layer(new OutputLayer.Builder().name("out").nOut(10).build()).build());
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(64).build());
        ByteArrayOutputStream adapter = new ByteArrayOutputStream();
        LoRAAdapter.of(adapted).saver().save(adapter);
        for (int i = 0; ; i++) {
            LoRA.save(adapted, folder.resolve("file"), true);
            LoRA.writeBase(base, folder.resolve("base"), Quantization.INT8);
            LoRAAdapter.of(adapted).save(folder.resolve("folder-" + i));
            LoRAAdapter.loader().load(new ByteArrayInputStream(adapter.toByteArray()));
            LoRA.load(folder.resolve("file"));
            ready(i);
        }
    }

    private static void ready(int round) {
        if (round == 0) {
            System.out.println(READY);
        }
    }
}
