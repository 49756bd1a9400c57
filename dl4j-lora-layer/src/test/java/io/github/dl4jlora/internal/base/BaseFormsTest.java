package io.github.dl4jlora.internal.base;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.slf4j.LoggerFactory;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Networks of one base location that keep its layers in different forms, as they are among them. */
@MayHang
class BaseFormsTest {

    private enum Form {
        PLAIN(null), BF16(Quantization.BF16), INT8(Quantization.INT8), NF4(Quantization.NF4);

        private final Quantization scheme;

        Form(Quantization scheme) {
            this.scheme = scheme;
        }
    }

    private static final INDArray X = Networks.random(DataType.FLOAT, 3, 4, Networks.IN);
    private static long seed = 5000;

    private final URI location;
    private final Map<Form, String> networks = new EnumMap<>(Form.class);
    private final Map<Form, INDArray> expected = new EnumMap<>(Form.class);

    BaseFormsTest() throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers();
        // Weights that no other test has: equal ones that are still in memory would be found in the registry.
        base.fit(Networks.data(DataType.FLOAT, 4, ++seed));
        location = URI.create("memory:/forms-" + seed);
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        ModelSerializer.writeModel(base, file, false);
        MemoryBases.put(location, file.toByteArray());
        for (Form form : Form.values()) {
            MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).quantize(form.scheme)
                    .baseLocation(location).build());
            networks.put(form, adapted.getLayerWiseConfigurations().toJson());
            expected.put(form, adapted.output(X).dup());
        }
        // No longer what the ids say: the registry does not give these out. Quantised ones live as long as somebody has them.
        base.params().muli(2);
        while (networks.values().stream().flatMap(json -> references(json).stream())
                .anyMatch(reference -> FrozenWeightsRegistry.find(reference.getId()).isPresent())) {
            System.gc();
        }
    }

    private static List<FrozenReference> references(String json) {
        return MultiLayerConfiguration.fromJson(json).getConfs().stream().map(NeuralNetConfiguration::getLayer)
                .filter(Replacement.class::isInstance).map(layer -> ((Replacement) layer).getFrozen()).toList();
    }

    private MultiLayerNetwork restored(Form form) {
        return Networks.of(MultiLayerConfiguration.fromJson(networks.get(form)));
    }

    private void requireAnswer(Form form, INDArray answer) {
        assertThat(Networks.difference(answer, expected.get(form))).as(form.name()).isLessThan(1e-6);
    }

    @ParameterizedTest
    @ValueSource(strings = {"INT8 PLAIN", "PLAIN INT8", "NF4 PLAIN", "PLAIN NF4", "INT8 NF4 PLAIN", "PLAIN NF4 INT8",
        "INT8 PLAIN NF4", "PLAIN PLAIN INT8 PLAIN", "BF16 INT8 PLAIN BF16"})
    void eachIsFoundAfterTheOthers(String order) {
        List<Form> forms = Arrays.stream(order.split(" ")).map(Form::valueOf).toList();
        List<MultiLayerNetwork> kept = new ArrayList<>();
        for (Form form : forms) {
            MultiLayerNetwork network = restored(form);
            requireAnswer(form, network.output(X));
            kept.add(network);
        }
        for (int i = 0; i < forms.size(); i++) {
            requireAnswer(forms.get(i), kept.get(i).output(X));
        }
        int read = MemoryBases.opened(location);
        assertThat(read).as("once for each form").isLessThanOrEqualTo((int) forms.stream().distinct().count());
        forms.forEach(form -> requireAnswer(form, restored(form).output(X)));
        assertThat(MemoryBases.opened(location)).as("all forms are in memory").isEqualTo(read);
    }

    /** All are restored, and ask, before one of them computes. */
    @Test
    void oneReadingServesAllThatHaveAsked() {
        Map<Form, MultiLayerNetwork> all = new EnumMap<>(Form.class);
        for (Form form : Form.values()) {
            all.put(form, restored(form));
        }
        all.forEach((form, network) -> requireAnswer(form, network.output(X)));

        assertThat(MemoryBases.opened(location)).isOne();
    }

    @Test
    void aFormThatDoesNotFitIsRefusedToWhoAsksForItAlone() {
        FrozenReference first = references(networks.get(Form.PLAIN)).get(0);
        FrozenReference strange = new FrozenReference("0".repeat(64), first.getSignature(), location, true, null,
                new StoredForm(Quantization.INT8, first.getId(), List.of(new StoredForm.Part("W", 7, 1, false))), false);

        assertThatThrownBy(() -> strange.require("fc1")).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("has no layer with the content id " + first.getId());
        for (Form form : Form.values()) {
            requireAnswer(form, restored(form).output(X));
        }
    }

    @Test
    void manyThreadsAskForManyForms() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(9);
        try {
            CountDownLatch together = new CountDownLatch(9);
            Map<Callable<INDArray>, Form> asks = new LinkedHashMap<>();
            for (int i = 0; i < 9; i++) {
                Form form = Form.values()[i % 3];
                asks.put(() -> {
                    together.countDown();
                    together.await();
                    return restored(form).output(X).dup();
                }, form);
            }
            List<Future<INDArray>> answers = threads.invokeAll(asks.keySet());
            int i = 0;
            for (Form form : asks.values()) {
                requireAnswer(form, answers.get(i++).get());
            }
        } finally {
            threads.shutdownNow();
        }
    }

    /** Who asks for another form, when a reading has passed the layer already, waits for that, and has the file read again. */
    @ParameterizedTest
    @ValueSource(strings = {"INT8 PLAIN", "PLAIN INT8", "NF4 INT8"})
    void aReadingThatBeganTooEarlyIsRepeated(String order) throws Exception {
        Form first = Form.valueOf(order.split(" ")[0]);
        Form second = Form.valueOf(order.split(" ")[1]);
        CountDownLatch hasRead = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        AppenderBase<ILoggingEvent> pause = new AppenderBase<>() {
            @Override
            protected void append(ILoggingEvent event) {
                if (event.getFormattedMessage().contains(location.toString()) && hasRead.getCount() > 0) {
                    hasRead.countDown();
                    try {
                        goOn.await();
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                }
            }
        };
        Logger log = (Logger) LoggerFactory.getLogger(BaseLocation.class);
        Level before = log.getLevel();
        log.setLevel(Level.INFO);
        log.addAppender(pause);
        pause.start();
        try {
            FutureTask<INDArray> early = new FutureTask<>(() -> restored(first).output(X).dup());
            new Thread(early).start();
            hasRead.await();
            FutureTask<INDArray> late = new FutureTask<>(() -> restored(second).output(X).dup());
            Thread waiting = new Thread(late);
            waiting.start();
            while (waiting.isAlive() && !isWaitingForTheReading(waiting)) {
                Thread.sleep(1);
            }
            assertThat(late.isDone()).as("it waits").isFalse();
            goOn.countDown();

            requireAnswer(first, early.get());
            requireAnswer(second, late.get());
            assertThat(MemoryBases.opened(location)).isEqualTo(2);
        } finally {
            goOn.countDown();
            log.detachAppender(pause);
            log.setLevel(before);
        }
    }

    static boolean isWaitingForTheReading(Thread thread) {
        return thread.getState() == Thread.State.WAITING && Arrays.stream(thread.getStackTrace())
                .anyMatch(frame -> frame.getClassName().equals(FutureTask.class.getName())
                        && frame.getMethodName().equals("get"));
    }
}
