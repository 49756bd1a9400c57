package io.github.dl4jlora.bank;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import static org.assertj.core.api.Assertions.assertThat;

/** A base, and a bank on it whose adapters come from a source in memory. */
abstract class SourceFixture {

    private static final double CLOSE = 1e-5;

    final MultiLayerNetwork base = GatedTanh.network();
    final INDArray input = GatedTanh.input(5, 3);
    final MapSource source = new MapSource();
    final Recorder metrics = new Recorder();
    final ExecutorService callers = Executors.newCachedThreadPool();

    @AfterEach
    void end() {
        GatedTanh.reset();
        callers.shutdownNow();
    }

    AdapterBank bank() {
        return new AdapterBank(base, BankConfig.builder().maxNetworks(2).source(source).metrics(metrics).build());
    }

    LoRAAdapter put(String name, long seed) {
        LoRAAdapter adapter = GatedTanh.adapter(base, seed);
        source.adapters.put(name, adapter);
        return adapter;
    }

    void requireAnswer(INDArray actual, LoRAAdapter adapter) {
        assertThat(Networks.difference(actual, GatedTanh.answer(base, adapter, input))).isLessThan(CLOSE);
    }
}
