package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Texts of GPT-2: PyTorch's, where the likeliest token is taken. */
@Tag("heavy")
class GenerationTest {

    private static final GeneratedTexts TEXTS = GeneratedTexts.ofPyTorch();
    private static final int[] PROMPT = {7, 1, 18, 4};

    private static ComputationGraph base() throws Exception {
        return TEXTS.checkpoint().causalLanguageModel().network();
    }

    private static ComputationGraph adapted() throws Exception {
        return LoRA.apply(base(), TEXTS.adapter());
    }

    private static void assertWrites(Generation text, List<int[]> expected) {
        for (int i = 0; i < expected.size(); i++) {
            assertThat(text.generate(TEXTS.prompts().get(i))).as("prompt %s", i).containsExactly(expected.get(i));
        }
    }

    /** The likeliest tokens, computed from the whole text again for each. */
    private static int[] byHand(ComputationGraph network, int[] prompt, int tokens) {
        int[] ids = prompt;
        for (int i = 0; i < tokens; i++) {
            INDArray input = Nd4j.createFromArray(new int[][]{ids}).castTo(DataType.FLOAT);
            INDArray logits = network.output(false, new INDArray[]{input}, new INDArray[]{input.mul(0).add(1)})[0];
            ids = Arrays.copyOf(ids, ids.length + 1);
            ids[ids.length - 1] = logits.getRow(logits.rows() - 1).argMax().getInt(0);
        }
        return Arrays.copyOfRange(ids, prompt.length, ids.length);
    }

    @Test
    void itWritesWhatPyTorchDoesUpToTheLastPosition() throws Exception {
        assertWrites(Generation.of(base()).build(), TEXTS.base());
    }

    @Test
    void withAnAdapterAndMergedItWritesWhatPyTorchDoes() throws Exception {
        ComputationGraph adapted = adapted();

        assertWrites(Generation.of(adapted).build(), TEXTS.adapted());
        assertWrites(Generation.of(LoRA.merge(adapted)).build(), TEXTS.adapted());
        assertWrites(Generation.of(LoRA.freeze(base())).build(), TEXTS.base());
    }

    @Test
    void inDoubleItWritesWhatPyTorchDoes() throws Exception {
        assertWrites(Generation.of(base().convertDataType(DataType.DOUBLE)).build(), TEXTS.base());
        assertWrites(Generation.of(LoRA.apply(base().convertDataType(DataType.DOUBLE), TEXTS.adapter())).build(),
                TEXTS.adapted());
    }

    @Test
    void untiedItWritesWhatTheTiedNetworkDoes() throws Exception {
        ComputationGraph untied = TEXTS.checkpoint().untied().causalLanguageModel().network();

        assertWrites(Generation.of(untied).build(), TEXTS.base());
    }

    @Test
    void onAQuantizedBaseItWritesWhatTheNetworkDoesByHand() throws Exception {
        for (Quantization quantization : new Quantization[]{Quantization.INT8, Quantization.BF16}) {
            ComputationGraph small = LoRA.loadQuantized(TEXTS.checkpoint().causalLanguageModel(),
                    LoRAConfig.builder().rank(2).targets(".*c_attn").quantize(quantization).build());

            assertThat(Generation.of(small).build().generate(PROMPT)).as(quantization.toString())
                    .containsExactly(byHand(small, PROMPT, 36));
        }
    }

    @Test
    void adaptersAreSwitchedBetweenCalls() throws Exception {
        ComputationGraph network = adapted();
        Generation text = Generation.of(network).build();
        LoRAAdapter other = LoRAAdapter.of(LoRA.apply(base(), LoRAConfig.builder().rank(2).targets(".*c_attn", ".*c_fc")
                .build()));

        assertWrites(text, TEXTS.adapted());
        other.applyTo(network, LoRAAdapter.ApplyOption.FORCE);
        assertWrites(text, TEXTS.base());
        TEXTS.adapter().applyTo(network);
        assertWrites(text, TEXTS.adapted());
        try (LoRA.Scope off = LoRA.disabled(network)) {
            assertWrites(text, TEXTS.base());
        }
        assertWrites(text, TEXTS.adapted());
    }

    /** From the next token on, for all that was read. */
    @Test
    void adaptersThatChangeWithinATextCountForAllOfIt() throws Exception {
        ComputationGraph network = adapted();
        int[] expected = byHand(network, PROMPT, 10);
        int[] soFar = IntStream.concat(Arrays.stream(PROMPT), Arrays.stream(expected)).toArray();
        int[] rest = byHand(base(), soFar, 10);
        List<LoRA.Scope> scopes = new ArrayList<>();
        List<Integer> told = new ArrayList<>();
        int[] written = Generation.of(network).maxNewTokens(20).build().generate(PROMPT, token -> {
            told.add(token);
            if (told.size() == 10) {
                scopes.add(LoRA.disabled(network));
            }
        });
        scopes.get(0).close();

        assertThat(written).containsExactly(IntStream.concat(Arrays.stream(expected), Arrays.stream(rest)).toArray());
        assertThat(told).containsExactlyElementsOf(Arrays.stream(written).boxed().toList());
    }

    @Test
    void aBankWritesWithEachOfItsAdapters() throws Exception {
        try (AdapterBank bank = new AdapterBank(base(), 2)) {
            bank.add("tone", TEXTS.adapter());

            assertWrites(Generation.of(bank, "tone").build(), TEXTS.adapted());
            assertWrites(Generation.of(bank, AdapterBank.BASE).build(), TEXTS.base());
            assertWrites(Generation.of(bank, AdapterMix.of("tone", 0)).build(), TEXTS.base());
        }
    }

    @Test
    void threadsWriteOnOneNetworkAndOnOneBank() throws Exception {
        ComputationGraph network = base();
        try (AdapterBank bank = new AdapterBank(network, 2)) {
            bank.add("tone", TEXTS.adapter());
            Generation own = Generation.of(LoRA.freeze(base())).build();
            Generation served = Generation.of(bank, "tone").build();
            List<CompletableFuture<Void>> all = Stream.of(own, own, served, served, served).map(text ->
                    CompletableFuture.runAsync(() -> assertWrites(text, text == own ? TEXTS.base() : TEXTS.adapted()))).toList();
            all.forEach(CompletableFuture::join);
        }
    }

    @Test
    void theSameSeedGivesTheSameTextAndAnotherAnother() throws Exception {
        ComputationGraph network = base();
        Generation text = Generation.of(network).temperature(2).seed(1).build();
        int[] written = text.generate(PROMPT);

        assertThat(text.generate(PROMPT)).containsExactly(written);
        assertThat(Generation.of(network).temperature(2).seed(1).build().generate(PROMPT)).containsExactly(written);
        assertThat(Generation.of(network).temperature(2).seed(2).build().generate(PROMPT)).isNotEqualTo(written);
        assertThat(written).hasSize(36).isNotEqualTo(TEXTS.base().get(1));
    }

    @Test
    void amongOneTokenChanceTakesTheLikeliest() throws Exception {
        ComputationGraph network = base();

        assertWrites(Generation.of(network).topK(1).build(), TEXTS.base());
        assertWrites(Generation.of(network).topP(1e-9).build(), TEXTS.base());
        assertWrites(Generation.of(network).temperature(1e-4).build(), TEXTS.base());
    }

    @Test
    void theTextEndsWithAStopTokenOrWithTheMostTokens() throws Exception {
        ComputationGraph network = base();
        int[] all = TEXTS.base().get(1);
        int stop = 10;

        assertThat(Generation.of(network).maxNewTokens(5).build().generate(PROMPT)).containsExactly(Arrays.copyOf(all, 5));
        assertThat(Generation.of(network).stopAt(0, stop).build().generate(PROMPT))
                .containsExactly(Arrays.copyOf(all, IntStream.of(all).boxed().toList().indexOf(stop) + 1));
        assertThat(Generation.of(network).stopAt(18).build().generate(PROMPT)).containsExactly(all);
    }

    @Test
    void beforeTheLeastTokensNoStopTokenIsChosen() throws Exception {
        ComputationGraph network = base();
        int stop = TEXTS.base().get(1)[0];
        int[] written = Generation.of(network).minNewTokens(8).stopAt(stop).build().generate(PROMPT);

        assertThat(Generation.of(network).stopAt(stop).build().generate(PROMPT)).containsExactly(stop);
        assertThat(written).hasSizeGreaterThanOrEqualTo(8);
        assertThat(Arrays.copyOf(written, 8)).doesNotContain(stop);
    }

    @Test
    void whatDoesNotFitIntoThePositionsIsRefused() throws Exception {
        ComputationGraph network = base();
        Generation text = Generation.of(network).maxNewTokens(4).build();

        assertThat(text.generate(new int[36])).hasSize(4);
        assertThatThrownBy(() -> text.generate(new int[37])).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("37 tokens", "40 positions", "room for 3", "not for 4", "maxNewTokens to at most 3");
        assertThatThrownBy(() -> Generation.of(network).build().generate(new int[40]))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("40 tokens", "room for 0", "cut the beginning");
        assertThatThrownBy(() -> text.generate(new int[41])).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("41 tokens", "room for 0");
    }

    @Test
    void promptsThatAreNoneAreRefused() throws Exception {
        Generation text = Generation.of(base()).build();

        assertThatThrownBy(text::generate).isInstanceOf(IllegalArgumentException.class).hasMessageContaining("no token");
        assertThatThrownBy(() -> text.generate((int[]) null)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("The prompt is null");
        assertThatThrownBy(() -> Generation.of(base()).stopAt(50256).build().generate(PROMPT))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("stop token 50256", "vocabulary of 19");
        for (int wrong : new int[]{-1, GeneratedTexts.VOCABULARY}) {
            assertThatThrownBy(() -> text.generate(3, wrong)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("Token id " + wrong, "token 1", "vocabulary of 19", "tokenizer");
        }
        assertWrites(text, TEXTS.base());
    }

    @Test
    void networksThatDoNotTellTheNextWordAreRefused() throws Exception {
        for (Tiny tiny : new Tiny[]{new Tiny(Tiny.shape(Family.BERT), Head.maskedWords()),
            new Tiny(Tiny.shape(Family.GPT2), Head.classifier(3)), new Tiny(Tiny.shape(Family.GPT2), Head.tokenVectors()),
            new Tiny(Tiny.shape(Family.BERT), Head.maskedWordsAtPositions())}) {
            ComputationGraph network = tiny.network(DataType.FLOAT, new NoOp());
            assertThatThrownBy(() -> Generation.of(network)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("Only a causal language model can write text", "Head.nextWord()");
        }
    }

    @Test
    void settingsThatMeanNothingAreRefused() throws Exception {
        Generation.Builder text = Generation.of(base());

        for (double wrong : new double[]{0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertThatThrownBy(() -> text.temperature(wrong)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("temperature is " + wrong);
        }
        for (double wrong : new double[]{0, 1.1, Double.NaN}) {
            assertThatThrownBy(() -> text.topP(wrong)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("topP is " + wrong);
        }
        assertThatThrownBy(() -> text.topK(0)).hasMessageContaining("topK is 0");
        assertThatThrownBy(() -> text.maxNewTokens(0)).hasMessageContaining("maxNewTokens is 0");
        assertThatThrownBy(() -> text.minNewTokens(-1)).hasMessageContaining("minNewTokens is -1");
        assertThatThrownBy(() -> text.stopAt(3, -1)).hasMessageContaining("stop token -1");
        assertThatThrownBy(() -> text.maxNewTokens(3).minNewTokens(4).build())
                .hasMessageContainingAll("minNewTokens is 4", "maxNewTokens is 3");
    }
}
