package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.AdapterLayout;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/** Gives the adapters of a layer their start, in the vector and outside it: by {@code LoRA.apply}, or when DL4J initialises. */
public final class AdapterInitializer {

    private final Adapter adapter;
    private final AdaptedConfiguration lora;

    public AdapterInitializer(Adapter adapter) {
        this.adapter = adapter;
        this.lora = adapter.configuration();
    }

    /**
     * Gives the adapters a fresh start, as configured, and biases the base's values.
     *
     * @param node  the layer's name in adapter files
     * @param seed  of the whole network; each parameter draws from a seed of its own
     * @param known parts of starts from data, by key of the adapted parameter and part
     */
    public void start(String node, long seed, Map<String, Map<String, INDArray>> known) {
        for (AdaptedParameter matrix : lora.adapted()) {
            start(matrix, known.getOrDefault(matrix.key(), Map.of()),
                    AdapterStart.seed(seed, lora.matrices().module(node, matrix.key())), true);
        }
        startBiases();
    }

    private void start(AdaptedParameter matrix, Map<String, INDArray> known, long seed, boolean fresh) {
        boolean needsW = lora.settings().loraInit().isTakenFromW() || !lora.settings().variant().isAdditive();
        Map<String, INDArray> start = AdapterStart.of(lora, matrix, needsW ? adapter.stock().all() : Map.of(), known,
                adapter.type(), seed);
        if (fresh && lora.getStorage() == FrozenStorage.SHARED && !lora.layout().constants().isEmpty()) {
            Map<String, INDArray> byKey = new HashMap<>();
            start.forEach((part, value) -> byKey.put(lora.key(matrix, part), value));
            adapter.constants().keep(byKey, seed);
        }
        for (AdapterLayout.Slot slot : lora.layout().of(matrix)) {
            INDArray inVector = adapter.inVector(slot.key());
            if (inVector != null) {
                inVector.assign(start.get(slot.parameter().key()));
            }
        }
        adapter.changed();
    }

    private void startBiases() {
        for (TrainedBias bias : lora.biases()) {
            INDArray ofBase = Objects.requireNonNull(adapter.stock().arrays().get(bias.key()));
            Objects.requireNonNull(adapter.inVector(bias.key())).assign(ofBase.reshape('c', 1, bias.length()));
        }
    }

    /**
     * Gives the start to a layer that DL4J initialises. A declared layer draws its frozen values, too, if they are outside the
     * vector. DL4J also initialises networks that it builds anew from an adapted network, and then copies the vector. So values
     * outside the vector stay as they are, and nothing is computed from a base that is not here.
     */
    public void initialize() {
        if (lora.getStorage() == FrozenStorage.SHARED && lora.getFrozen() == null) {
            lora.setFrozen(freshFrozen());
        }
        boolean constantsAreMissing = lora.getConstants() != null && !lora.getConstants().isHere();
        if (lora.getStorage() == FrozenStorage.SHARED && (constantsAreMissing || AdapterStart.needsStock(lora))
                && !Objects.requireNonNull(lora.getFrozen()).isHere()) {
            return;
        }
        for (AdaptedParameter matrix : lora.adapted()) {
            long seed = lora.getConstants() != null ? lora.getStartSeed() : Nd4j.getRandom().nextLong();
            start(matrix, lora.getConstants() != null ? adapter.constants().of(matrix) : Map.of(), seed,
                    lora.getConstants() == null);
        }
        startBiases();
    }

    private FrozenReference freshFrozen() {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray values = Nd4j.create(adapter.type(), lora.frozenParams());
            return FrozenReference.to(FrozenWeights.ofOwn(values, lora.stockTable(values, true)), null);
        }
    }
}
