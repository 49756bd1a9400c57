package io.github.dl4jlora.integration;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Starts taken from a base in fewer bits: constants that nobody writes, computed again where the network is read. */
class QuantizedStartsTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 16, 5);
    private static final List<LoRAInit> STARTS = List.of(LoRAInit.PISSA, LoRAInit.OLORA);
    private static final List<String> WAYS = List.of("whole", "checkpoint", "located");

    private final MultiLayerNetwork base = Networks.trainedLayers();

    private static MultiLayerNetwork adapted(MultiLayerNetwork base, Quantization scheme, LoRAInit init, URI location) {
        return LoRA.apply(base, LoRAConfig.builder().rank(2).targets(".*").quantize(scheme).loraInit(init)
                .baseLocation(location).build());
    }

    private static String constants(MultiLayerNetwork network) {
        return ((AdaptedConfiguration) network.getLayer("fc1").conf().getLayer()).getConstants().getId();
    }

    @ParameterizedTest
    @EnumSource(value = LoRAInit.class, names = {"PISSA", "OLORA"})
    void constantsAreThoseOfTheRestoredValues(LoRAInit init) {
        MultiLayerNetwork tuned = adapted(base, Quantization.NF4, init, null);

        assertThat(constants(tuned)).isEqualTo(constants(adapted(LoRA.unload(tuned), null, init, null)))
                .isNotEqualTo(constants(adapted(base, null, init, null)));
    }

    @Test
    void anotherJvmComputesThemAgainWhicheverWayItHasTheStoredForm(@TempDir Path folder) throws Exception {
        StringBuilder expected = new StringBuilder();
        for (String way : WAYS) {
            // Each of a base of its own: what one has computed, another would find.
            base.fit(DATA);
            File file = folder.resolve(way + "-base.zip").toFile();
            ModelSerializer.writeModel(base, file, false);
            for (LoRAInit init : STARTS) {
                MultiLayerNetwork tuned = adapted(base, Quantization.NF4, init, null);
                tuned.fit(DATA);
                expected.append(way).append(' ').append(outputs(tuned));
                if (way.equals("located")) {
                    MultiLayerNetwork located = adapted(base, Quantization.NF4, init, file.toURI());
                    located.setParams(tuned.params());
                    tuned = located;
                }
                if (way.equals("whole")) {
                    LoRA.save(tuned, folder.resolve(init + "-whole.zip"), true);
                } else {
                    ModelSerializer.writeModel(tuned, folder.resolve(init + "-" + way + ".zip").toFile(), true);
                }
            }
        }
        ChildJvm.run(ChildJvm.classpath(), folder.resolve("log"), QuantizedStartsTest.class.getName(), folder.toString());

        assertThat(folder.resolve("found")).hasContent(expected.toString());
    }

    private static String outputs(MultiLayerNetwork network) {
        return Arrays.toString(network.output(DATA.getFeatures()).dup('c').data().asFloat()) + "\n";
    }

    public static void main(String[] arguments) throws IOException {
        Path folder = Path.of(arguments[0]);
        StringBuilder found = new StringBuilder();
        for (String way : WAYS) {
            for (LoRAInit init : STARTS) {
                File file = folder.resolve(init + "-" + way + ".zip").toFile();
                MultiLayerNetwork read = way.equals("whole") ? LoRA.loadMultiLayerNetwork(file.toPath())
                        : ModelSerializer.restoreMultiLayerNetwork(file, true);
                if (way.equals("checkpoint")) {
                    LoRA.attach(read, ModelSerializer.restoreMultiLayerNetwork(folder.resolve(way + "-base.zip").toFile()));
                }
                found.append(way).append(' ').append(outputs(read));
            }
        }
        Files.writeString(folder.resolve("found"), found);
    }
}
