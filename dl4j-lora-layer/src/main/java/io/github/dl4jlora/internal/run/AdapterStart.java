package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.common.Named;
import io.github.dl4jlora.variant.Variant;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * What a layer's adapter starts from: a function of its configuration, W and a seed, the same on every machine. So the part of it
 * that never changes need not be written anywhere: it can be computed again from W. A start from data cannot be computed without
 * the data, and one from what quantising lost not without the original values.
 */
public final class AdapterStart {

    private AdapterStart() {
    }

    /**
     * The seed of one adapted matrix: Java's hash of its name makes seeds of matrices of the same shape differ.
     *
     * @param network the seed of the whole network
     * @param module  the matrix's name in adapter files
     */
    public static long seed(long network, String module) {
        return network * 31 + module.hashCode();
    }

    /**
     * The parts of one adapted parameter.
     *
     * @param stock the stock layer's own parameters; may be empty for a start that does not depend on them
     * @param known parts that are settled already, by part: a known start that was taken from W is not computed again; a start
     *              from data that is not known is zero here, and is to be set by a caller that has it
     * @return by part: A, B, …
     */
    static Map<String, INDArray> of(AdaptedConfiguration lora, AdaptedParameter matrix, Map<String, INDArray> stock,
                                    Map<String, INDArray> known, DataType type, long seed) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            LoRASettings settings = lora.settings(matrix);
            INDArray a = Nd4j.create(type, new long[] {matrix.nIn(), matrix.rank()}, 'f');
            INDArray b = Nd4j.create(type, new long[] {matrix.rank(), matrix.nOut()}, 'f');
            Map<String, INDArray> start = new HashMap<>(Map.of(Variant.A, a, Variant.B, b));
            INDArray w = stock.containsKey(matrix.key())
                    ? lora.matrices().form(matrix.key()).viewOf(stock.get(matrix.key())) : null;
            Random random = new Random(seed);
            if (settings.loraInit().isTakenFromW()) {
                if (known.containsKey(Variant.START_A)) {
                    a.assign(known.get(Variant.START_A));
                    b.assign(known.get(Variant.START_B));
                } else if (!settings.loraInit().needsData()) {
                    settings.loraInit().take(Objects.requireNonNull(w), a, b, settings.factor(), settings.pissaIterations(),
                            random);
                }
                start.put(Variant.START_A, a);
                start.put(Variant.START_B, b);
            } else if (!settings.loraInit().needsData()) {
                lora.matrices().initialize(a, b, settings.loraInit(), random);
            }
            start.putAll(known);
            settings.variant().start(start, w, settings.factor());
            return start;
        }
    }

    /**
     * @throws IllegalStateException for a start from data, or from values that the base had before it was quantised
     */
    static void requireComputable(AdaptedConfiguration lora) {
        LoRAInit init = lora.settings().loraInit();
        if (init.needsData() || init == LoRAInit.LOFTQ) {
            throw isMissing(lora, "is taken from " + (init.needsData() ? "data" : "what quantising lost"));
        }
    }

    /** What to throw where the start is not in this JVM. */
    static IllegalStateException isMissing(AdaptedConfiguration lora, String why) {
        return new IllegalStateException(Named.layer(lora.getLayerName()) + ": the start of its adapter, LoRAInit."
                + lora.settings().loraInit() + ", " + why + ". It is not in this JVM, and ModelSerializer and JSON do not store "
                + "it. Load a file that LoRA.save wrote, or load the adapter from its own files and call "
                + "LoRA.apply(base, adapter)");
    }

    /** Whether a start depends on the stock layer's own parameters. */
    static boolean needsStock(AdaptedConfiguration lora) {
        return !lora.biases().isEmpty() || lora.settings().loraInit().isTakenFromW() || !lora.settings().variant().isAdditive();
    }
}
