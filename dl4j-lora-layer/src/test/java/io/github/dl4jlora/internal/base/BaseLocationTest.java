package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.function.Consumer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A base that a network without one finds by its location. */
class BaseLocationTest {

    private static final INDArray X = Networks.random(DataType.FLOAT, 3, 4, Networks.IN);
    private static long seed = 1000;

    @TempDir
    private Path directory;

    @Test
    void baseLocationServesAJvmThatHasNotTheBase() throws IOException {
        ComputationGraph base = unlikeAnyOther();
        URI location = write(base, "base.zip");
        ComputationGraph adapted = LoRA.apply(base, config(location));
        INDArray expected = adapted.outputSingle(X).dup();
        String json = adapted.getConfiguration().toJson();
        INDArray params = adapted.params().dup();
        // No longer what the ids say: the registry will not give these out.
        base.params().muli(2);

        ComputationGraph elsewhere = new ComputationGraph(ComputationGraphConfiguration.fromJson(json));
        elsewhere.init(params, false);

        Networks.assertSame("elsewhere", elsewhere.outputSingle(X), expected);
    }

    @Test
    void eachLayerOfALocationIsAnArrayOfItsOwn() throws IOException {
        ComputationGraph base = unlikeAnyOther();
        URI location = write(base, "base.zip");

        for (Layer layer : base.getLayers()) {
            FrozenWeights expected = FrozenWeights.unregistered(layer.params(), layer.paramTable());
            FrozenWeights read = BaseLocation.load(location, FrozenReference.to(expected, location));

            assertThat(read.isOwn()).isTrue();
            assertThat(read.signature()).isEqualTo(expected.signature());
            assertThat(read.values().data().underlyingLength()).isEqualTo(layer.numParams());
        }
    }

    @Test
    void anotherBaseAtThatLocationIsRefused() throws IOException {
        ComputationGraph base = unlikeAnyOther();
        ComputationGraph other = Networks.trainedGraph();
        other.fit(Networks.data(DataType.FLOAT, 4, 9));
        URI location = write(other, "other.zip");
        String json = jsonAlone(base, location);

        assertThatThrownBy(() -> compute(json)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll(location.toString(), "not the network that the adapter was made for");
    }

    @ParameterizedTest
    @ValueSource(strings = {"nothing.zip", "text.zip"})
    void locationThatHoldsNoNetworkIsNamed(String name) throws IOException {
        Files.writeString(directory.resolve("text.zip"), "no network");
        URI location = directory.resolve(name).toUri();
        ComputationGraph base = unlikeAnyOther();
        String json = jsonAlone(base, location);

        assertThatThrownBy(() -> compute(json)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll("cannot be loaded", location.toString());
    }

    @Test
    void anOpenerServesASchemeThatTheJdkLacksAndIsAskedOncePerJvm() throws IOException {
        ComputationGraph base = unlikeAnyOther();
        URI location = inMemory(base);
        ComputationGraph adapted = LoRA.apply(base, config(location));
        double[] expected = adapted.outputSingle(X).ravel().toDoubleVector();
        String json = adapted.getConfiguration().toJson();
        base.params().muli(2);

        for (int task = 0; task < 3; task++) {
            // As on a cluster: a network per task, nothing in between that needs the base.
            System.gc();
            assertThat(compute(json).ravel().toDoubleVector()).containsExactly(expected);
        }

        assertThat(MemoryBases.opened(location)).isOne();
    }

    @Test
    void whatAnOpenerSaysIsPassedOn() {
        ComputationGraph base = unlikeAnyOther();
        URI location = URI.create("memory:/nothing");
        String json = jsonAlone(base, location);

        assertThatThrownBy(() -> compute(json)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll("memory:/nothing", "cannot be loaded", "no such memory");
    }

    @Test
    void aSchemeThatNobodyOpensIsNamedWithTheCure() {
        ComputationGraph base = unlikeAnyOther();
        String json = LoRA.apply(base, config(URI.create("hdfs://host/base.zip"))).getConfiguration().toJson();
        base.params().muli(2);

        assertThatThrownBy(() -> compute(json)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll("hdfs://host/base.zip", "nothing on the class path opens \"hdfs:\"", "BaseOpener");
    }

    @ParameterizedTest
    @CsvSource({"http://no.such.host.invalid/base.zip, UnknownHostException", "http://127.0.0.1:1/base.zip, ConnectException",
        "jar:file:/nothing.jar!/base.zip, nothing.jar", "urn:isbn:0, nothing on the class path opens",
        "file://host/x, not a file"})
    void whyALocationCannotBeReadIsSaid(URI location, String why) {
        ComputationGraph base = unlikeAnyOther();
        String json = jsonAlone(base, location);

        assertThatThrownBy(() -> compute(json)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll("The base network at " + location + " cannot be loaded", why);
    }

    @Test
    void aLocationWithoutASchemeIsRefused() {
        assertThatThrownBy(() -> config(URI.create("models/base.zip"))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("models/base.zip", "no scheme", "Path.toUri()");
    }

    @Test
    void aFileThatWasReplacedIsReadAgain() throws IOException {
        for (int version = 0; version < 3; version++) {
            ComputationGraph base = unlikeAnyOther();
            ComputationGraph adapted = LoRA.apply(base, config(write(base, "base.zip")));
            INDArray expected = adapted.outputSingle(X).dup();
            String json = adapted.getConfiguration().toJson();
            base.params().muli(2);

            assertThat(compute(json)).as("version %d", version).isEqualTo(expected);
        }
    }

    @Test
    void aFileThatIsGoneIsNamedUnlessItWasRead() throws IOException {
        ComputationGraph base = unlikeAnyOther();
        URI location = write(base, "base.zip");
        ComputationGraph adapted = LoRA.apply(base, config(location));
        INDArray expected = adapted.outputSingle(X).dup();
        String json = adapted.getConfiguration().toJson();
        base.params().muli(2);
        ComputationGraph late = Networks.of(ComputationGraphConfiguration.fromJson(json));
        byte[] file = Files.readAllBytes(Path.of(location));
        Files.delete(Path.of(location));

        assertThatThrownBy(() -> late.outputSingle(X)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll(location.toString(), "does not exist");

        Files.write(Path.of(location), file);
        assertThat(late.outputSingle(X)).isEqualTo(expected);
        Files.delete(Path.of(location));
        assertThat(late.outputSingle(X)).isEqualTo(expected);
        assertThat(compute(json)).as("read before").isEqualTo(expected);
    }

    /** Of an adapted network whose base can be had at the location alone. */
    private static String jsonAlone(ComputationGraph base, URI location) {
        String json = LoRA.apply(base, config(location)).getConfiguration().toJson();
        base.params().muli(2);
        return json;
    }

    @Test
    void manyThreadsReadALocationOnce() throws Exception {
        ComputationGraph base = unlikeAnyOther();
        URI location = inMemory(base);
        String json = jsonAlone(base, location);
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try {
            List<Future<INDArray>> outputs = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                outputs.add(threads.submit(() -> compute(json)));
            }
            for (Future<INDArray> output : outputs) {
                assertThat(output.get()).isEqualTo(outputs.get(0).get());
            }
        } finally {
            threads.shutdownNow();
        }

        assertThat(MemoryBases.opened(location)).isOne();
    }

    /** Each network is computed by a thread of its own while the first of them reads. */
    private static final class Readers {

        private final String json;
        private final CountDownLatch reads = new CountDownLatch(1);
        private final CompletableFuture<Void> goOn = new CompletableFuture<>();

        Readers(String json, URI location, MemoryBases.Opening then) {
            this.json = json;
            MemoryBases.beforeFirst(location, () -> {
                reads.countDown();
                goOn.join();
                then.begin();
            });
        }

        FutureTask<INDArray> reader() throws InterruptedException {
            FutureTask<INDArray> reader = new FutureTask<>(() -> compute(json));
            new Thread(reader).start();
            reads.await();
            return reader;
        }

        /** One that waits for the reader, or is done. */
        FutureTask<INDArray> waiter(Consumer<Thread> then) throws InterruptedException {
            FutureTask<INDArray> waiter = new FutureTask<>(() -> compute(json));
            Thread thread = new Thread(waiter);
            thread.start();
            while (thread.isAlive() && !BaseFormsTest.isWaitingForTheReading(thread)) {
                Thread.sleep(1);
            }
            then.accept(thread);
            return waiter;
        }
    }

    @MayHang
    @Test
    void whoIsInterruptedWhileAnotherReadsDoesNotHaveOthersReadAgain() throws Exception {
        ComputationGraph base = unlikeAnyOther();
        URI location = inMemory(base);
        String json = jsonAlone(base, location);
        Readers readers = new Readers(json, location, () -> { });
        FutureTask<INDArray> reader = readers.reader();

        FutureTask<INDArray> interrupted = readers.waiter(Thread::interrupt);
        assertThatThrownBy(interrupted::get).rootCause().isInstanceOf(InterruptedException.class);
        FutureTask<INDArray> patient = readers.waiter(thread -> { });
        readers.goOn.complete(null);

        assertThat(patient.get()).isEqualTo(reader.get());
        assertThat(MemoryBases.opened(location)).isOne();
    }

    @MayHang
    @Test
    void whoWaitsForAThreadThatIsInterruptedReadsItself() throws Exception {
        for (IOException interrupt : List.of(new ClosedByInterruptException(), new InterruptedIOException("interrupted"))) {
            ComputationGraph base = unlikeAnyOther();
            URI location = inMemory(base);
            ComputationGraph adapted = LoRA.apply(base, config(location));
            INDArray expected = adapted.outputSingle(X).dup();
            String json = adapted.getConfiguration().toJson();
            base.params().muli(2);
            Readers readers = new Readers(json, location, () -> {
                throw interrupt;
            });
            FutureTask<INDArray> reader = readers.reader();
            FutureTask<INDArray> waiter = readers.waiter(thread -> { });

            readers.goOn.complete(null);

            assertThatThrownBy(reader::get).rootCause().isSameAs(interrupt);
            assertThat(waiter.get()).isEqualTo(expected);
            assertThat(MemoryBases.opened(location)).isEqualTo(2);
        }
    }

    private static URI inMemory(ComputationGraph base) throws IOException {
        URI location = URI.create("memory:/base-" + seed);
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        ModelSerializer.writeModel(base, file, false);
        MemoryBases.put(location, file.toByteArray());
        return location;
    }

    /** Weights that no other test has: equal ones that are still in memory would be found in the registry. */
    private static ComputationGraph unlikeAnyOther() {
        ComputationGraph base = Networks.trainedGraph();
        base.fit(Networks.data(DataType.FLOAT, 4, ++seed));
        return base;
    }

    private static INDArray compute(String json) {
        return Networks.of(ComputationGraphConfiguration.fromJson(json)).outputSingle(X);
    }

    private URI write(ComputationGraph network, String name) throws IOException {
        Path file = directory.resolve(name);
        ModelSerializer.writeModel(network, file.toFile(), false);
        return file.toUri();
    }

    private static LoRAConfig config(URI location) {
        return LoRAConfig.builder().rank(2).baseLocation(location).build();
    }
}
