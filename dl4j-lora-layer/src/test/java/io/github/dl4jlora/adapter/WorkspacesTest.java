package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** What a caller gets inside a workspace of its own, an iterator's or a listener's, outlives it. */
class WorkspacesTest {

    private static final WorkspaceConfiguration OWN = WorkspaceConfiguration.builder().initialSize(1 << 20).build();

    @TempDir
    private Path folder;

    /** Networks and an adapter that started as a part of W, which takes more arithmetic than any other. */
    private record Given(ComputationGraph base, ComputationGraph tuned, LoRAAdapter adapter, Path folder) {
    }

    private interface Work {
        List<INDArray> of(Given given) throws Exception;
    }

    enum Method {
        OF(given -> arrays(LoRAAdapter.of(given.tuned))),
        DELTA_WEIGHT(given -> List.of(given.adapter.deltaWeight("fc1"))),
        TO_PLAIN_LORA(given -> arrays(given.adapter.toPlainLoRA())),
        NORM(given -> numbers(given.adapter.norm("fc1"), given.adapter.relativeNorm("fc1", given.base),
                given.adapter.effectiveRank("fc2"))),
        SPECTRUM(given -> numbers(given.adapter.spectrum("fc1"))),
        COSINE(given -> numbers(given.adapter.cosine(given.adapter), given.adapter.cosine("fc1", given.adapter))),
        CAT(given -> arrays(combined(given, Combination.Method.CAT))),
        SVD(given -> arrays(combined(given, Combination.Method.SVD))),
        LINEAR(given -> arrays(combined(given, Combination.Method.LINEAR))),
        TIES_SVD(given -> arrays(combined(given, Combination.Method.TIES_SVD))),
        COMPRESS(given -> arrays(given.adapter.compress(1).adapter())),
        COMPRESS_NOTHING(given -> arrays(given.adapter.compress(16).adapter())),
        COMPRESS_TO_ENERGY(given -> arrays(given.adapter.compressToEnergy(0.9).adapter())),
        EXTRACT(given -> arrays(LoRAAdapter.extract(given.base, LoRA.merge(given.tuned)).rank(2).fullValues(true).build()
                .adapter())),
        APPLY_TO(given -> {
            ComputationGraph network = LoRA.apply(given.base, given.adapter.config());
            given.adapter.applyTo(network, LoRAAdapter.ApplyOption.RESET_UPDATER);
            return arrays(LoRAAdapter.of(network));
        }),
        SAVE_AND_LOAD(given -> {
            given.adapter.save(given.folder);
            return arrays(LoRAAdapter.load(given.folder));
        });

        private final Work work;

        Method(Work work) {
            this.work = work;
        }
    }

    @ParameterizedTest
    @EnumSource
    void resultsOutliveTheCallersWorkspace(Method method) throws Exception {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA).trainable("out").build());
        Networks.randomizeAdapters(tuned.paramTable(), 1);
        Given given = new Given(base, tuned, LoRAAdapter.of(tuned), folder);
        List<INDArray> expected = method.work.of(given);

        List<INDArray> inside;
        try (MemoryWorkspace own = Nd4j.getWorkspaceManager().getAndActivateWorkspace(OWN, "OWN")) {
            inside = method.work.of(given);
        }
        try (MemoryWorkspace own = Nd4j.getWorkspaceManager().getAndActivateWorkspace(OWN, "OWN")) {
            Nd4j.create(DataType.DOUBLE, 1 << 15).assign(7);
        }

        assertThat(inside).noneMatch(INDArray::isAttached);
        assertThat(inside).isEqualTo(expected);
    }

    /** DL4J computes no output while somebody's workspace is open, but a bank may be filled in one. */
    @Test
    void aBankFilledInAWorkspaceServesAfterIt() {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA).build());
        Networks.randomizeAdapters(tuned.paramTable(), 1);
        INDArray input = Networks.random(DataType.DOUBLE, 3, 3, Networks.IN);
        try (AdapterBank bank = new AdapterBank(base)) {
            try (MemoryWorkspace own = Nd4j.getWorkspaceManager().getAndActivateWorkspace(OWN, "OWN")) {
                bank.add("pissa", LoRAAdapter.of(tuned));
            }
            try (MemoryWorkspace own = Nd4j.getWorkspaceManager().getAndActivateWorkspace(OWN, "OWN")) {
                Nd4j.create(DataType.DOUBLE, 1 << 15).assign(7);
            }

            assertThat(Networks.difference(bank.output("pissa", input), tuned.outputSingle(input))).isLessThan(1e-12);
        }
    }

    private static LoRAAdapter combined(Given given, Combination.Method method) {
        // As much as the other has without its start.
        LoRAAdapter other = Adapters.on(given.base, LoRAConfig.builder().rank(4).targets("fc1"), 2);
        Combination combination = LoRAAdapter.combine(method).add(given.adapter, 0.5).add(other, 0.5);
        return (method.needsDensity() ? combination.density(0.5) : combination).build();
    }

    private static List<INDArray> arrays(LoRAAdapter adapter) {
        List<INDArray> arrays = new ArrayList<>();
        adapter.content().deltas().values().forEach(delta -> arrays.addAll(delta.parts().values()));
        adapter.content().trained().values().stream().map(Map::values).forEach(arrays::addAll);
        arrays.addAll(adapter.content().biases().values().values());
        return arrays;
    }

    private static List<INDArray> numbers(double... values) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return List.of(Nd4j.createFromArray(values));
        }
    }
}
