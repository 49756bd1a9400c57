package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * What a file holds is the loaded network's own, whatever lives beside it in the JVM, and whoever has packed the file anew.
 */
class OwnValuesTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 20, 3);
    private static long seed = 500;

    @TempDir
    Path folder;
    /** The network that was saved: as long as it is there, so is what it stands on, the base's own values. */
    private Model saved;

    @ParameterizedTest
    @EnumSource
    void aLoadedNetworkStaysWhatItIsWhenABaseOfEqualValuesTrains(Kind kind) throws IOException {
        Model base = kind.base();
        Path file = saved(kind, base);
        Model loaded = kind.load(file);
        double[] expected = Models.outputs(loaded);

        Models.fit(base, 77);
        base.params().muli(2);

        assertThat(Models.outputs(loaded)).isEqualTo(expected);
        assertThat(Models.outputs(Models.merge(loaded))).hasSameSizeAs(expected);
        Models.fit(loaded, 78);
        LoRA.save(loaded, file, true);
        assertThat(Models.outputs(kind.load(file))).isEqualTo(Models.outputs(loaded));
    }

    @ParameterizedTest
    @EnumSource
    void aLoadedNetworkGoesOnWhenABaseOfEqualValuesIsClosed(Kind kind) throws IOException {
        Model base = kind.base();
        Model loaded = kind.load(saved(kind, base));
        double[] expected = Models.outputs(loaded);

        base.params().close();

        assertThat(Models.outputs(loaded)).isEqualTo(expected);
        Models.fit(loaded, 79);
    }

    /** One copy in memory serves all, and survives each. */
    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void loadsOfOneFileShareItsFrozenValues(Kind kind) throws IOException {
        Model base = kind.base();
        Path file = saved(kind, base);
        Model first = kind.load(file);
        Model second = kind.load(file);
        double[] expected = Models.outputs(second);

        List<FrozenWeights> shared = frozen(first);
        assertThat(frozen(second)).hasSize(3).usingElementComparator((a, b) -> a == b ? 0 : 1)
                .containsExactlyElementsOf(shared);
        assertThat(shared).doesNotContainAnyElementsOf(frozen(saved));

        Models.fitSteps(first, 0, 3);
        assertThat(Models.outputs(second)).isEqualTo(expected).isNotEqualTo(Models.outputs(first));
        first.params().close();
        first = null;
        System.gc();
        assertThat(Models.outputs(second)).isEqualTo(expected);
        assertThat(Models.outputs(kind.load(file))).isEqualTo(expected);
    }

    @Test
    void threadsThatLoadOneFileAtOnceGetNetworksThatStand() throws Exception {
        Kind kind = Kind.GRAPH_SHARED;
        Model base = kind.base();
        Path file = saved(kind, base);
        double[] expected = Models.outputs(kind.load(file));
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<double[]>> loads = new ArrayList<>();
            for (int i = 0; i < 24; i++) {
                int step = i;
                loads.add(threads.submit(() -> {
                    Model loaded = kind.load(file);
                    if (step % 5 == 0) {
                        System.gc();
                        base.params().muli(1.5);
                    }
                    return Models.outputs(loaded);
                }));
            }
            for (Future<double[]> load : loads) {
                assertThat(load.get()).isEqualTo(expected);
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void aNormalizerThatDl4jAddsIsReadBackAndTheNetworkTrainsOn() throws Exception {
        MultiLayerNetwork adapted = wide();
        Path file = folder.resolve("wide.zip");
        LoRA.save(adapted, file, true);
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(DATA);

        ModelSerializer.addNormalizerToModel(file.toFile(), normalizer);

        assertThat(ModelSerializer.<NormalizerStandardize>restoreNormalizerFromFile(file.toFile()).getMean())
                .isEqualTo(normalizer.getMean());
        MultiLayerNetwork loaded = LoRA.loadMultiLayerNetwork(file);
        assertThat(Models.updaterState(loaded)).isEqualTo(Models.updaterState(adapted));
        loaded.fit(DATA);
        adapted.fit(DATA);
        assertThat(Models.params(loaded)).isEqualTo(Models.params(adapted));
    }

    /** How others pack a zip file. */
    enum Packing {
        SMALLEST(9, false), STORED(0, false), IN_ANOTHER_ORDER(6, true);

        private final int level;
        private final boolean reversed;

        Packing(int level, boolean reversed) {
            this.level = level;
            this.reversed = reversed;
        }
    }

    @ParameterizedTest
    @EnumSource
    void aFileThatWasPackedAnewIsRead(Packing packing) throws IOException {
        MultiLayerNetwork wide = wide();
        Path file = folder.resolve("wide.zip");
        LoRA.save(wide, file, false);
        Map<String, byte[]> entries = new LinkedHashMap<>(Zips.read(file));
        entries.put("notes/readme.txt", "not ours".getBytes(StandardCharsets.UTF_8));

        pack(file, entries, packing);

        assertThat(LoRA.loadMultiLayerNetwork(file).output(DATA.getFeatures())).isEqualTo(wide.output(DATA.getFeatures()));
    }

    /** Wide layers and a small rank: nearly all of its file are frozen values, which compress a little. */
    private static MultiLayerNetwork wide() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(12).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(Networks.IN).nOut(300).build())
                .layer(new DenseLayer.Builder().name("fc2").nIn(300).nOut(300).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT).name("out").nIn(300).nOut(Networks.OUT)
                        .activation(Activation.SOFTMAX).build()).build());
        MultiLayerNetwork wide = LoRA.apply(base, LoRAConfig.builder().rank(1).targets("fc2").updater(new Adam(0.01)).build());
        wide.fit(DATA);
        return wide;
    }

    private static void pack(Path file, Map<String, byte[]> entries, Packing packing) throws IOException {
        List<String> names = new ArrayList<>(entries.keySet());
        if (packing.reversed) {
            Collections.reverse(names);
        }
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.setLevel(packing.level);
            zip.setMethod(packing.level == 0 ? ZipOutputStream.STORED : ZipOutputStream.DEFLATED);
            for (String name : names) {
                byte[] content = entries.get(name);
                ZipEntry entry = new ZipEntry(name);
                CRC32 sum = new CRC32();
                sum.update(content);
                entry.setSize(content.length);
                entry.setCrc(sum.getValue());
                zip.putNextEntry(entry);
                zip.write(content);
                zip.closeEntry();
            }
        }
    }

    private static List<FrozenWeights> frozen(Model adapted) {
        return new ArrayList<>(BaseValues.verified(adapted).values());
    }

    private Path saved(Kind kind, Model base) throws IOException {
        Path file = folder.resolve("model.zip");
        // Unlike any other test's, which may be alive still.
        Models.fit(base, ++seed);
        saved = kind.adapt(base);
        Models.fitSteps(saved, 0, 2);
        LoRA.save(saved, file, true);
        return file;
    }
}
